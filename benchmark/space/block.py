"""Block units: an architecture leaves out residual branches or whole layers, and the network becomes shallower."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.copying import copied
from benchmark.space.base import Group, SearchSpace
from benchmark.space.graph.dependencies import DependencyGraph
from benchmark.space.peak_memory import PeakMemory
from benchmark.space.surgery.block_check import skippable
from benchmark.space.surgery.module_edits import Change
from benchmark.space.surgery.skip import NO_CHANNELS, Skipping


class BlockSpace(SearchSpace):
    """Units are blocks: residual branches; in a network without residual sums, layers as wide as what they read.

    What a block is, `benchmark.space.surgery.find_blocks.find` says. A block that is off adds nothing, and a layer
    that is off passes on what it reads; extraction takes their modules out. A group is the blocks of one kind and
    stage, those that make the same steps and give the same shape, and is named after the first of them; the layers of a
    plain network are one group. Every architecture keeps at least one block of each group. Blocks of a group may cost
    differently, as the first one of a stage often does. `blocks` are these units in their order; `graph.whole` names
    what could be no block, with the reason.
    """

    granularity = "block"

    def __init__(self, model: nn.Module, example_input: Tensor, cost_kind: str = "params") -> None:
        graph = self._wired(model, example_input)
        found, whole, uncounted = skippable(model, example_input, graph)
        if found is None:
            reason = next((f" ({name} {reason})" for name, reason in whole.items()), "")
            raise BenchError(
                f"{type(model).__name__}: has no blocks that could be skipped{reason}; use another model or granularity"
            )
        self._skipping: Skipping = found
        self.blocks = tuple(found.blocks)
        self.graph = replace(graph, whole={**graph.whole, **whole})
        sizes = Counter(block.kind for block in self.blocks)
        first = {kind: next(block.name for block in self.blocks if block.kind == kind) for kind in sizes}
        groups = [Group(_unlike(first[kind], graph), size) for kind, size in sizes.items()]
        self._block_groups = len(groups)
        groups += [Group(name, size) for name, size in graph.groups.items()]
        super().__init__(model, tuple(groups), cost_kind, uncounted=uncounted)
        self._memory: PeakMemory | None = None
        if cost_kind == "memory":
            held, image = copied(model).cpu(), example_input[:1].detach().cpu()
            self._memory = PeakMemory(
                lambda blocks, channels: found.extracted(held, torch.cat([blocks, channels]), own=False),
                image,
                len(self.blocks),
                list(graph.groups.values()),
            )

    @staticmethod
    def _wired(_model: nn.Module, _example_input: Tensor) -> DependencyGraph:
        """Return the channels that are pruned beside the blocks: none."""
        return NO_CHANNELS

    @property
    def alike(self) -> list[slice]:
        """The ranges of units that cost the same: every block is one of its own."""
        single = [slice(place, place + 1) for place in range(len(self.blocks))]
        return [*single, *list(self.offsets.values())[self._block_groups :]]

    @cached_property
    def minimum(self) -> float:
        """Return the smallest budget that can be met whatever the scores: one unit per group, of blocks the dearest."""
        mask = self._required(torch.zeros(self.n))
        for group in self.groups[: self._block_groups]:
            where = self.offsets[group.name]
            costs = []
            for unit in range(where.start, where.stop):
                mask[where] = False
                mask[unit] = True
                costs.append(self.exact_cost(mask))
            mask[where] = False
            mask[where.start + costs.index(max(costs))] = True
        return self.exact_cost(mask) / self.total

    def _exact(self, kind: str, a: Tensor) -> int:
        if kind == "memory":
            assert self._memory is not None, "only a space of this cost knows its memory"
            on = a.detach().cpu().to(torch.bool)
            blocks = on[: len(self.blocks)].tolist()
            return self._memory.of_kept(blocks, self._widths(on.long()).numpy())
        return self._skipping.costs[kind].of_kept(self._skipping.kept(a))

    def _widths(self, a: Tensor) -> Tensor:
        """Return how much of every group of channels is kept, and 1: [groups of channels + 1]."""
        parts = a.split(self.sizes)[self._block_groups :]
        return torch.stack([*(part.sum() for part in parts), a.new_ones(())])

    def cost(self, a: Tensor) -> Tensor:
        """Return the cost of `a` [n]: multilinear in the blocks and the widths in them; exact at 0/1 points.

        Memory is not multilinear: `PeakMemory` says what it is between these points.
        """
        if self._memory is not None:
            wide = a.double()
            return self._memory.of(wide[: len(self.blocks)], self._widths(wide)).to(a.dtype)
        return self._skipping.cost(self.cost_kind, a)

    def gate(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the parameters with the last scale of every branch multiplied by its entry of `a`.

        That scale and shift (a norm's, a layer's, a layer scale) make the whole branch: at 0 it adds zeros. Layers are
        gated where they run, by `run`: no weights make a norm in training mode the identity.
        """
        return self._skipping.gate(parameters, a)

    def run(self, model: nn.Module, tensors: Mapping[str, Tensor], a: Tensor, *inputs: Any) -> Any:
        """Return what `model` computes with `tensors`, its units gated by `a` [n].

        With the gate g of a layer, its result is g * layer(x) + (1 - g) * x.
        """
        return self._skipping.run(model, tensors, a, *inputs)

    def weight_masks(self, mask: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - what is pruned is gone
        """Return nothing: the extracted network has no pruned weights."""
        return {}

    def shrink(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the state dict of the extracted network: without the tensors of the blocks that are skipped."""
        return self._skipping.cut(state, mask)

    def restore(self, kept: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the full-size state dict of an extracted network's, zero elsewhere."""
        return self._skipping.spread(kept, mask)

    def embed(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return an extracted network's state dict at the large model's size, zero elsewhere."""
        return self.restore(state, mask)

    def tensors(self, mask: Tensor) -> list[str]:
        """Return the names of the extracted network's parameters and buffers."""
        return self._skipping.tensors(mask)

    def changes(self, mask: Tensor) -> list[Change]:
        """Return what extraction changes in the modules, as JSON: what is replaced by the identity or by zeros."""
        return self._skipping.changes(mask)

    def _required(self, scores: Tensor) -> Tensor:
        mask = torch.zeros(self.n, dtype=torch.bool)
        for part, kept in zip(scores.split(self.sizes), mask.split(self.sizes), strict=True):
            kept[torch.argmax(part)] = True
        return mask

    def _prefix(self, required: Tensor, order: Tensor, limit: int) -> int:
        def fits(taken: int) -> bool:
            mask = required.clone()
            mask[order[:taken]] = True
            return self.exact_cost(mask) <= limit

        # A layer that gives fewer channels than it takes makes what is behind it cheaper: the cost rises with every
        # unit only from one block to the next, and the last such stretch that begins within the limit holds the end.
        starts = [0, *(torch.nonzero(order < len(self.blocks)).flatten() + 1).tolist()]
        last = max((place for place, start in enumerate(starts) if fits(start)), default=0)
        if self._memory is not None and not (last or fits(0)):
            # Peaks of blocks do not add up, so `minimum` need not hold for every choice of one block per group.
            smallest = self.exact_cost(required) / self.total
            raise BenchError(
                "budget: below the smallest architecture with the blocks that come first, "
                f"{smallest:.6f} of the memory; ask for at least {math.ceil(smallest * 1e4) / 1e4:g}"
            )
        low, high = starts[last], [*(start - 1 for start in starts[1:]), len(order)][last]
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return low

    def _extract(self, model: nn.Module, mask: Tensor) -> nn.Module:
        return self._skipping.extracted(model, mask)


def _unlike(name: str, graph: DependencyGraph) -> str:
    """Return a name that no group of channels has."""
    return f"{name} (block)" if name in graph.groups else name
