"""Branches that the traced image did not take: which images do, and what a layer that none reaches might read."""

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark.space.graph.dependencies import DependencyGraph
from benchmark.space.surgery.trial_run import Setting


def other_images(image: Tensor) -> Iterator[Tensor]:
    """Yield images unlike `image`: black, white, negative, faint and loud; what decides a branch may be any of it."""
    yield from (torch.zeros_like(image), torch.ones_like(image), -torch.ones_like(image))
    yield from (image * 0.01, image * 100, -image, image.abs(), -image.abs(), 10 * image.abs())


def walked(model: nn.Module, layers: Collection[str], setting: Setting) -> tuple[tuple[str, ...], set[str]]:
    """Return the operators that run in a setting, in order, and which of these layers do; nothing if none can run."""
    way = _Way()
    try:
        with way:
            setting.output(model)
    except Exception:  # whatever a network says of an image that is not one
        return (), set()
    return tuple(way.operators), {name for name in layers if _runs(model.get_submodule(name), way.read)}


def _runs(layer: nn.Module, read: Collection[int]) -> bool:
    """Whether what was read has all matrices of a layer's own, or where it has none any of its parameters."""
    held = list(layer.parameters(recurse=False))
    matrices = [one for one in held if one.dim() > 1]
    return all(_memory(one) in read for one in matrices) if matrices else any(_memory(one) in read for one in held)


class _Way(TorchDispatchMode):
    """Notes the operators that run, and what memory they read."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[str] = []
        self.read: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.operators.append(str(func))
        self.read.update(_memory(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor))
        return func(*args, **kwargs)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0


def endangered(model: nn.Module, graph: DependencyGraph, layers: Collection[str]) -> dict[str, str]:
    """Return the groups that layers which never ran might read or give their channels to, and why they stay whole.

    Nobody knows what such a layer reads, so it is told by widths: those of a group's tensors, or, where there is none
    such, of what a flattened map may be made of.
    """
    widths = _widths(graph)
    found: dict[str, str] = {}
    for layer in layers:
        module = model.get_submodule(layer)
        for width in _sides(module):
            exact = [group for group, known in widths.items() if width in known]
            flat = [group for group, known in widths.items() if any(width % one == 0 for one in known)]
            for group in exact or (flat if isinstance(module, nn.Linear) and width == module.in_features else []):
                found.setdefault(group, f"may go with {layer}, which no image that was tried reaches")
    return found


def _widths(graph: DependencyGraph) -> dict[str, set[int]]:
    """The lengths of the dimensions on which a group's units are made or read."""
    found: dict[str, set[int]] = {}
    start = 0
    for group, size in graph.groups.items():
        sides = [graph.dims[name][dim] for name, dim in (*graph.producers, *graph.readers)]
        found[group] = {len(units) for units in sides if ((units >= start) & (units < start + size)).any()}
        start += size
    return found


def _sides(module: nn.Module) -> set[int]:
    """The widths that a layer reads and makes."""
    parameters = list(module.parameters(recurse=False))
    sizes = {size for parameter in parameters for size in parameter.shape[:2]}
    groups = getattr(module, "groups", 1)
    return {*sizes, *(parameter.shape[1] * groups for parameter in parameters if parameter.dim() > 1)} - {1}
