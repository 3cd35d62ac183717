"""The cost of channels and blocks: every tensor's is a constant times the widths of its sides, if its block stays."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.space.graph.dependencies import DependencyGraph, Indices

Array = np.ndarray[Any, Any]
Term = tuple[int, list[Indices | None]]
NO_BLOCKS: Mapping[str, Indices] = MappingProxyType({})


class Bilinear:
    """A sum of terms constant * width * width ..., a width being affine in the numbers of kept units per group.

    K [groups + 1] are the kept units per group, the last entry 1. Exact in integers (`of_kept`), differentiable in
    doubles (`of`), the same at 0/1 points.
    """

    def __init__(self, sizes: Sequence[int], terms: Sequence[tuple[int, Sequence[Indices | None]]]) -> None:
        self._sizes = np.asarray(sizes)
        group_of = np.repeat(np.arange(len(sizes)), sizes)
        depth = max((len(sides) for _, sides in terms), default=1)
        rows: list[list[Array]] = [[] for _ in range(depth)]
        constants = []
        for entries, sides in terms:
            constant = entries
            for side, units in enumerate([*sides, *[None] * (depth - len(sides))]):
                width, row = self._width(units, group_of)
                rows[side].append(row)
                constant //= width
            constants.append(constant)
        self._sides = tuple(np.stack(side) for side in rows)
        self._factors = np.asarray(constants, dtype=np.int64)
        self._float_sides = tuple(torch.from_numpy(side).double() for side in self._sides)
        self._float_factors = torch.from_numpy(self._factors).double()

    def _width(self, units: Indices | None, group_of: Array) -> tuple[int, Array]:
        """Return a side's full width and its affine row [groups + 1]: channels per kept unit, then the constant."""
        row = np.zeros(len(self._sizes) + 1, dtype=np.int64)
        if units is None:
            row[-1] = 1
            return 1, row
        row[-1] = np.count_nonzero(units < 0)
        np.add.at(row, group_of[units[units >= 0]], 1)
        assert not (row[:-1] % self._sizes).any(), "units of one group are cut unequally often"
        row[:-1] //= self._sizes
        return len(units), row

    def of_kept(self, kept: Array) -> int:
        """Return the exact cost of `kept` [groups + 1] units per group."""
        total = self._factors
        for side in self._sides:
            total = total * (side @ kept)
        return int(total.sum())

    def of(self, kept: Tensor) -> Tensor:
        """Return the cost of `kept` [groups + 1], doubles, as a scalar."""
        total = self._float_sides[0].to(kept.device) @ kept
        for side in self._float_sides[1:]:
            total = total * (side.to(kept.device) @ kept)
        return (total * self._float_factors.to(kept.device)).sum()


def params_terms(model: nn.Module, graph: DependencyGraph, blocks: Mapping[str, Indices] = NO_BLOCKS) -> Iterator[Term]:
    """Yield a term for every parameter: its number of entries, and the units behind its dimensions.

    `blocks` gives, for tensors that go with a block, the unit of that block (one entry), which is one more side.
    """
    for name, parameter in model.named_parameters():
        yield parameter.numel(), [*_sides(graph.dims.get(name, {})), *_block(blocks, [name])]


def macs_terms(graph: DependencyGraph, blocks: Mapping[str, Indices] = NO_BLOCKS) -> Iterator[Term]:
    """Yield a term for every product with a weight, and one for every unit's products of activations.

    `blocks` is that of `params_terms`; products of activations go with a block if all that their units are cut from do.
    """
    for product in graph.weighted:
        dims = graph.dims.get(product.tensor, {})
        sides = _sides({dim: units[product.part[dim]] for dim, units in dims.items()})
        yield product.macs, [*sides, *_block(blocks, [product.tensor])]
    start = 0
    for size in graph.groups.values():
        units = np.arange(start, start + size)
        entries = int(graph.products[units].sum())
        yield entries, [units, *(_block(blocks, _cut(graph, units)) if blocks and entries else [])]
        start += size
    yield int(graph.products[-1]), []


def _block(blocks: Mapping[str, Indices], tensors: Sequence[str]) -> list[Indices]:
    """Return the unit of the block that all these tensors go with, if they do."""
    found = [blocks.get(name) for name in tensors]
    return [found[0]] if found and found[0] is not None and all(one is found[0] for one in found) else []


def _cut(graph: DependencyGraph, units: Indices) -> list[str]:
    """Return the tensors that units are cut from."""
    return [name for name, dims in graph.dims.items() if any(np.isin(found, units).any() for found in dims.values())]


def _sides(dims: Mapping[int, Indices]) -> list[Indices | None]:
    return [dims.get(dim) for dim in range(max(dims, default=-1) + 1)]
