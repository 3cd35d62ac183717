"""Blocks and channels together: an architecture is shallower and thinner."""

from torch import Tensor, nn

from benchmark.space.block import BlockSpace
from benchmark.space.graph.dependencies import DependencyGraph, trace
from benchmark.space.surgery.channel_check import admitted


class BlockChannelSpace(BlockSpace):
    """Units are the blocks of `BlockSpace`, and after them the channels of `ChannelSpace`.

    The cost of a tensor is that of `ChannelSpace` times the gate of the block it lies in, so channels inside a skipped
    block cost nothing. They are still chosen, at least one of each group, but make no difference. What is behind a
    skipped layer of a plain network reads the channels of the layer before.
    """

    granularity = "block+channel"

    @staticmethod
    def _wired(model: nn.Module, example_input: Tensor) -> DependencyGraph:
        """Return the channels that are pruned beside the blocks: those of `ChannelSpace`."""
        return admitted(model, example_input, trace(model, example_input))
