"""Masking and cutting by a dependency graph: the two that must compute the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.models.copying import copied
from benchmark.models.loader import apply_changes
from benchmark.space.graph.dependencies import DependencyGraph, Indices
from benchmark.space.graph.plain_run import forget
from benchmark.space.surgery.module_edits import changes


class Gates:
    """Multiplies what the layers read by the units behind it."""

    def __init__(self, graph: DependencyGraph) -> None:
        starts = np.cumsum([0, *graph.groups.values()]).tolist()
        self._slices = {name: slice(s, e) for name, s, e in zip(graph.groups, starts, starts[1:], strict=False)}
        self._sizes = list(graph.groups.values())
        self._readers = [_Reader(name, dim, graph.dims[name][dim], self._slices) for name, dim in graph.readers]

    def apply(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the parameters with every reading dimension multiplied by its entries of `a` [n]."""
        result = dict(parameters)
        parts = dict(zip(self._slices, a.split(self._sizes), strict=True))
        for reader in self._readers:
            weight = result[reader.weight]
            shape = [-1 if dim == reader.dim else 1 for dim in range(weight.dim())]
            result[reader.weight] = weight * reader.factors(a, parts).view(shape)
        return result


class _Reader:
    """A weight that reads gated channels: how the factors of its input slices come out of `a`."""

    def __init__(self, weight: str, dim: int, units: Indices, slices: Mapping[str, slice]) -> None:
        self.weight, self.dim = weight, dim
        self.group: str | None = None
        self.repeat = 1
        self._units = torch.from_numpy(units)
        for name, where in slices.items():
            width = where.stop - where.start
            repeat = len(units) // width
            if repeat and np.array_equal(units, np.repeat(np.arange(where.start, where.stop), repeat)):
                self.group, self.repeat = name, repeat

    def factors(self, a: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the factor of every input channel [C]."""
        if self.group is None:
            padded = torch.cat([a, a.new_ones(1)])
            return padded[self._units.to(a.device)]
        part = parts[self.group]
        return part if self.repeat == 1 else part.repeat_interleave(self.repeat)


class Slices:
    """The entries of every tensor of a state dict that some kept units leave."""

    def __init__(self, graph: DependencyGraph, shapes: Mapping[str, tuple[int, ...]], mask: Tensor) -> None:
        self._graph, self._shapes = graph, shapes
        # The channels of no group (unit -1) always stay.
        self._present = np.append(mask.cpu().numpy(), True)

    def cut(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the kept entries of every tensor."""
        return {name: tensor[self._kept(name)] for name, tensor in state.items()}

    def spread(self, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return full-size tensors of what `cut` kept, zero elsewhere."""
        full = {name: tensor.new_zeros(self._shapes[name]) for name, tensor in kept.items()}
        for name, tensor in kept.items():
            full[name][self._kept(name)] = tensor
        return full

    def _kept(self, name: str) -> tuple[Any, ...]:
        """Return the index of a tensor's kept part; `...` where no dimension is governed."""
        dims = self._graph.dims.get(name, {})
        sides = [
            np.flatnonzero(self._present[dims[dim]]) if dim in dims else np.arange(self._shapes[name][dim])
            for dim in range(max(dims, default=-1) + 1)
        ]
        return tuple(torch.from_numpy(side) for side in np.ix_(*sides)) or (...,)


def run(model: nn.Module, tensors: Mapping[str, Tensor], *inputs: Any) -> Any:
    """Return what `model` computes with other parameters and buffers; what is not named in `tensors` is its own.

    Of a tensor with several names the first counts, that in `named_parameters` and `named_buffers`; what the run writes
    to a buffer is under all its names. `functional_call` by itself leaves the other tensors behind in a module that has
    two names, and takes what layers keep of the model's own parameters.
    """
    given: dict[str, Tensor] = {}
    first: dict[int, str] = {}
    for place, module in model.named_modules():
        for leaf, held in (*module._parameters.items(), *module._buffers.items()):
            if held is not None:
                name = f"{place}.{leaf}" if place else leaf
                known = first.setdefault(id(held), name)
                if known in tensors:
                    given[name] = tensors[known]
    forget(model)
    try:
        result = functional_call(model, given, inputs, tie_weights=False)
    finally:
        forget(model)
    if not tensors.keys() <= given.keys():
        for name, buffer in model.named_buffers(remove_duplicate=False):
            known = first[id(buffer)]
            if name not in given and name in tensors and known in tensors:
                tensors[name].copy_(tensors[known])
    return result


def extracted(model: nn.Module, graph: DependencyGraph, mask: Tensor, own: bool = True) -> nn.Module:
    """Return a copy of `model` without the units that `mask` [n] drops.

    With `own` its tensors are its own; without, those that are not cut are the model's.
    """
    state = model.state_dict(keep_vars=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    values = {name: tensor.detach() for name, tensor in state.items()}
    tensors = Slices(graph, shapes, mask).cut(values)
    if own:
        tensors = {name: tensor.clone() if tensor._is_view() else tensor for name, tensor in tensors.items()}
    forget(model)
    # The modules are copied without their tensors, which are replaced next.
    copy = copied(model, {id(tensor): tensor for tensor in state.values()})
    apply_changes(copy, changes(model, graph, mask.cpu().numpy()), tensors)
    return copy


def share(model: nn.Module, graph: DependencyGraph) -> float:
    """Return the part of a model's parameters whose entries belong to a unit."""
    inside = total = 0
    for name, parameter in model.named_parameters():
        total += parameter.numel()
        outside = 1
        for dim, size in enumerate(parameter.shape):
            units = graph.dims.get(name, {}).get(dim)
            outside *= size if units is None else int((units < 0).sum())
        inside += parameter.numel() - outside
    return inside / total
