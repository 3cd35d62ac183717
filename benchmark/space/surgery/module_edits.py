"""What extraction changes in a network's modules besides their tensors: the attributes that state a width."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from benchmark.space.graph.dependencies import DependencyGraph, Indices

Change = dict[str, Any]
# What modules call their number of attention heads, and the width of all heads together.
HEADS = frozenset({"num_heads", "heads", "n_heads", "num_attention_heads", "nhead"})
WIDTHS = frozenset(
    {"attn_dim", "all_head_dim", "inner_dim", "attention_dim", "val_attn_dim", "dh", "expanded_dim", "out_dim"}
)
# What modules of their own call the number of channels that a kernel is over.
CHANNELS = frozenset({"channels", "groups", "num_channels", "in_channels", "out_channels"})


def changes(model: nn.Module, graph: DependencyGraph, kept: Indices) -> list[Change]:
    """Return the changes, as JSON, that go with the units `kept` [n] (bool).

    An entry names a module and what is set in it, where PyTorch's own module has no form with fewer units,
    what replaces it, of buffers that the state dict leaves out which indices are kept (dim: indices), and of numbers
    that its calls state what they become (call: {place: [before, after]}).
    """
    present = np.append(kept, True)
    widths: dict[str, dict[str, dict[int, tuple[int, int]]]] = {}
    for tensor, dims in graph.dims.items():
        layer, _, leaf = tensor.rpartition(".")
        found = {dim: (len(units), int(present[units].sum())) for dim, units in dims.items()}
        if any(before != after for before, after in found.values()):
            widths.setdefault(layer, {})[leaf] = found
    result = [*_attention(model, graph, kept, widths)]
    for layer, tensors in widths.items():
        settings = _settings(model.get_submodule(layer), tensors)
        if settings:
            result.append({"module": layer, "set": settings})
    return [*result, *_kernels(model, graph, present), *_sizes(graph, present)]


def _settings(layer: nn.Module, tensors: Mapping[str, Mapping[int, tuple[int, int]]]) -> dict[str, Any]:
    """Return the new values of a layer's attributes, given (before, after) per dimension of its tensors."""
    weight = tensors.get("weight", {})
    first = weight.get(0, next((dims[0] for dims in tensors.values() if 0 in dims), None))
    if isinstance(layer, _ConvNd):
        return _convolution(layer, weight)
    if isinstance(layer, nn.Linear):
        names = {0: "out_features", 1: "in_features"}
        return {names[dim]: after for dim, (_, after) in weight.items()}
    if isinstance(layer, nn.RNNBase | nn.RNNCellBase):
        return _recurrent(tensors)
    if first is None:
        return {}
    before, after = first
    if isinstance(layer, nn.GroupNorm):
        return {"num_channels": after, "num_groups": layer.num_groups * after // before}
    if isinstance(layer, _BatchNorm | _InstanceNorm):
        return {"num_features": after}
    if isinstance(layer, nn.PReLU):
        return {"num_parameters": after}
    shape = getattr(layer, "normalized_shape", None)
    if isinstance(shape, tuple) and len(shape) == 1:
        return {"normalized_shape": [after]}
    return {}


def _recurrent(tensors: Mapping[str, Mapping[int, tuple[int, int]]]) -> dict[str, Any]:
    """Return the widths of a recurrent layer or cell, as its first layer has them."""
    first = {name.removesuffix("_l0"): dims for name, dims in tensors.items()}
    sides = {"input_size": "weight_ih", "hidden_size": "weight_hh"}
    return {name: first[leaf][1][1] for name, leaf in sides.items() if 1 in first.get(leaf, {})}


def _convolution(layer: _ConvNd, weight: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    made, read = (1, 0) if isinstance(layer, _ConvTransposeNd) else (0, 1)
    result = {}
    if layer.groups > 1:
        before, after = weight[0]
        groups = layer.groups * after // before
        return {"groups": groups, "out_channels": after, "in_channels": layer.in_channels // layer.groups * groups}
    if made in weight:
        result["out_channels"] = weight[made][1]
    if read in weight:
        result["in_channels"] = weight[read][1]
    return result


def _kernels(model: nn.Module, graph: DependencyGraph, present: Indices) -> Iterator[Change]:
    """Yield the changes of modules whose kernel is a buffer: what is kept of it, and over how many channels it is."""
    # No other buffer outside the state is cut: it may be made anew in every run.
    for name in dict.fromkeys(product.tensor for product in graph.weighted):
        layer, _, leaf = name.rpartition(".")
        owner = model.get_submodule(layer)
        kept = {dim: np.flatnonzero(present[units]).tolist() for dim, units in graph.dims.get(name, {}).items()}
        before = {dim: len(units) for dim, units in graph.dims.get(name, {}).items()}
        if leaf not in owner._buffers or all(len(kept[dim]) == size for dim, size in before.items()):
            continue
        change: Change = {"module": layer}
        if leaf in owner._non_persistent_buffers_set:
            # As text, for these are keys of JSON.
            change["keep"] = {leaf: {str(dim): indices for dim, indices in kept.items()}}
        if not isinstance(owner, _ConvNd) and 0 in kept:
            stated = [one for one, value in vars(owner).items() if one in CHANNELS and value == before[0]]
            change["set"] = dict.fromkeys(stated, len(kept[0]))
        yield change


def _sizes(graph: DependencyGraph, present: Indices) -> list[Change]:
    """Return the numbers in calls that count units which are gone."""
    found: dict[str, dict[str, dict[str, list[int]]]] = {}
    for one in graph.literals:
        kept = [one.size, int(present[one.units].sum())]
        found.setdefault(one.module, {}).setdefault(one.call, {})[str(one.place)] = kept
    cut = {
        module: {
            call: places for call, places in calls.items() if any(before != after for before, after in places.values())
        }
        for module, calls in found.items()
    }
    return [{"module": module, "sizes": calls} for module, calls in cut.items() if calls]


def _attention(model: nn.Module, graph: DependencyGraph, kept: Indices, cut: Iterable[str]) -> Iterator[Change]:
    """Yield the changes of modules that know the number of their heads; `cut` are the layers whose tensors are cut."""
    stated = {unit for one in graph.literals for unit in one.units.tolist()}
    start = 0
    for size, module in zip(graph.groups.values(), homes(graph), strict=True):
        heads = int(kept[start : start + size].sum())
        start += size
        owner = model.get_submodule(module)
        if isinstance(owner, nn.MultiheadAttention) and owner.num_heads == size:
            # Its own form insists on the width it was made with, which other groups may cut as well.
            if any(f"{layer}.".startswith(f"{module}.") for layer in cut):
                yield {"module": module, "replace": "attention", "set": {"num_heads": heads}}
            continue
        if heads == size or start - size in stated:
            continue
        settings = {
            attribute: heads if attribute in HEADS else value * heads // size
            for attribute, value in vars(owner).items()
            if type(value) is int
            and ((attribute in HEADS and value == size) or (attribute in WIDTHS and value % size == 0))
        }
        if settings and module and any(attribute in HEADS for attribute in settings):
            yield {"module": module, "set": settings}


def homes(graph: DependencyGraph) -> list[str]:
    """Return, per group, the name of the smallest module that holds all tensors from which its units are cut."""
    sizes = list(graph.groups.values())
    group_of = np.append(np.repeat(np.arange(len(sizes)), sizes), -1)  # the last one for channels of no unit
    shared: dict[int, list[str]] = {}
    for tensor, dims in graph.dims.items():
        path = tensor.split(".")[:-1]
        for group in {int(one) for units in dims.values() for one in np.unique(group_of[units])} - {-1}:
            pairs = zip(shared.get(group, path), path, strict=False)
            shared[group] = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return [".".join(shared[group]) for group in range(len(sizes))]
