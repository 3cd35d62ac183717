"""From a large model to its search space."""

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError, unknown
from benchmark.models.copying import copied
from benchmark.models.usable import check_network, check_runs
from benchmark.models.wrappers import unwrapped
from benchmark.space.base import SearchSpace
from benchmark.space.block import BlockSpace
from benchmark.space.block_channel import BlockChannelSpace
from benchmark.space.channel import ChannelSpace
from benchmark.space.weight import WeightSpace

SPACES: dict[str, type[ChannelSpace] | type[WeightSpace] | type[BlockSpace]] = {
    space.granularity: space for space in (ChannelSpace, WeightSpace, BlockSpace, BlockChannelSpace)
}


def build_space(model: nn.Module, example_input: Tensor, granularity: str, cost: str = "params") -> SearchSpace:
    """Return the search space of `model` whose units are channels, single weights, blocks, or blocks and channels.

    `example_input` is one image [1, C, H, W] on the model's device (of several the first is taken); `cost` ("params",
    "macs" or "memory") is what budgets are shares of. The space gives no weights, and `model` is left as it was; of one
    that PyTorch wraps for training it is the space of the network within. Raises `BenchError` for an unknown
    granularity or cost, a model without parameters or with ones that are not initialised, and an image that it does not
    take.
    """
    if granularity not in SPACES:
        raise unknown("granularity", granularity, SPACES, "granularity")
    model = unwrapped(model)
    check_network(model)
    if not isinstance(example_input, Tensor) or not example_input.numel():
        raise BenchError("example_input: expected one image, a tensor [1, C, H, W] of the model's type and device")
    # Tensors of inference mode hide of which operators an operator is made.
    with torch.inference_mode(False):
        if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
            model = copied(model)
        check_runs(model, example_input[:1].clone())
        return SPACES[granularity](model, example_input.clone(), cost)
