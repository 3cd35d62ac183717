"""Which batch norm scales belong to which channel."""

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.pruning.problem import Problem
from benchmark.space import ChannelSpace

Scales = dict[str, Tensor]


def norm_scales(problem: Problem, method: str) -> Scales:
    """Return the unit (int64, -1: none) behind every entry of the batch norm scales that units go through, by name.

    `BenchError`, beginning with `method`, names a group of channels that goes through no batch norm.
    """
    space = problem.space
    assert isinstance(space, ChannelSpace)
    found = {}
    for place, module in problem.network.named_modules():
        name = f"{place}.weight"
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and name in space.graph.dims:
            found[name] = torch.from_numpy(space.graph.dims[name][0])
    scaled = torch.zeros(space.n, dtype=torch.bool)
    for units in found.values():
        scaled[units[units >= 0]] = True
    for group, part in space.unflatten(scaled).items():
        if not bool(part.all()):
            raise BenchError(
                f"{method}: group {group} goes through no batch norm, expected one behind every group of channels; "
                "use a model with batch norm or leave the method out of the suite"
            )
    return found
