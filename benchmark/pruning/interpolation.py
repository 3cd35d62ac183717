"""Channel interpolation: maps of different widths are brought to one width, so that a mixture of widths can be run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.space import BlockSpace, ChannelSpace, SearchSpace


def resampling(given: int, wanted: int) -> Tensor:
    """Return the matrix [wanted, given] of adaptive average pooling along channels; the identity where both are equal.

    Row c averages the channels floor(c * given / wanted) up to, without, ceil((c + 1) * given / wanted).
    """
    return F.adaptive_avg_pool1d(torch.eye(given)[None], wanted)[0].T.contiguous()


def mixture(size: int, widths: Sequence[int], shares: Tensor) -> Tensor:
    """Return the matrix [size, size] that makes a group's channels the mixture of its first `widths` channels.

    The first max(widths) rows are the sum of the interpolations of each width to the largest one, weighted by `shares`
    [len(widths)], in which it is differentiable. The other rows are those of the identity: nobody reads these
    channels, and a constant one would have no batch norm.
    """
    top = max(widths)
    maps = torch.eye(size).repeat(len(widths), 1, 1)
    for one, width in zip(maps, widths, strict=True):
        one[:top] = 0
        one[:top, :width] = resampling(width, top)
    rows = (torch.arange(size) < top).float()[:, None]
    mixed = (shares[:, None, None] * maps.to(shares)).sum(0)
    rows = rows.to(shares)
    return rows * mixed + (1 - rows) * torch.eye(size).to(shares)


@dataclass(frozen=True)
class _Side:
    """The dimension of a weight along which the units of a group are made: entries [units, per unit]."""

    tensor: str
    dim: int
    group: str
    entries: Tensor


class Interpolation:
    """The weights with which a network of the search space gives mixtures of widths instead of its own channels.

    Every layer that makes channels of a group is linear in its filters, so mixing the filters mixes what it gives,
    also into a residual sum. What follows channel by channel (a bias, a norm, an activation, a depthwise kernel)
    is that of the place after the mixture.
    """

    def __init__(self, space: SearchSpace) -> None:
        assert isinstance(space, ChannelSpace | BlockSpace)
        blocks = len(space.blocks)
        self._sides: list[_Side] = []
        for name, dim in space.graph.producers:
            units = space.graph.dims[name][dim] + blocks
            for group in space.groups:
                part = space.offsets[group.name]
                inside = np.flatnonzero((units >= max(part.start, blocks)) & (units < part.stop))
                if len(inside):
                    order = inside[np.argsort(units[inside], kind="stable")]
                    entries = torch.from_numpy(order).view(group.size, -1)
                    self._sides.append(_Side(name, dim, group.name, entries))

    def mixed(self, state: Mapping[str, Tensor], mixtures: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the state with the filters of each group of `mixtures` mixed by its matrix [units, units].

        Differentiable in both. Other tensors are the given ones, so that running statistics follow in place.
        """
        result = dict(state)
        for side in self._sides:
            if side.group in mixtures:
                tensor = result[side.tensor].movedim(side.dim, 0)
                entries = side.entries.to(tensor.device)
                filters = tensor[entries.flatten()].reshape(*entries.shape, -1)
                new = torch.einsum("ou,urx->orx", mixtures[side.group].to(tensor), filters)
                tensor = tensor.index_copy(0, entries.flatten(), new.reshape(-1, *tensor.shape[1:]))
                result[side.tensor] = tensor.movedim(0, side.dim)
        return result
