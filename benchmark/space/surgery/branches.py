"""Layers on branches that the traced image did not take: which images reach them, and what none reaches might read."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from benchmark.space.graph.dependencies import DependencyGraph
from benchmark.space.surgery.trial_run import Setting


def other_images(image: Tensor) -> Iterator[Tensor]:
    """Yield images unlike `image`: black, white, negative, faint and loud; what decides a branch may be any of it."""
    yield from (torch.zeros_like(image), torch.ones_like(image), -torch.ones_like(image))
    yield from (image * 0.01, image * 100, -image, image.abs(), -image.abs())


def reached(model: nn.Module, layers: Collection[str], setting: Setting) -> set[str]:
    """Return which of these layers run in a setting; none where `model` cannot run."""
    found: set[str] = set()
    handles = [model.get_submodule(name).register_forward_pre_hook(lambda *_, n=name: found.add(n)) for name in layers]
    try:
        setting.output(model)
    except Exception:  # whatever a network says of an image that is not one
        return set()
    finally:
        for handle in handles:
            handle.remove()
    return found


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
