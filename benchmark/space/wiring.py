"""Which channels of a network are coupled, and where each of them is produced and read."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import nn

from benchmark.space.counting import CONVOLUTIONS

Indices = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Slot:
    """One side of a layer whose channels belong to groups.

    `units[i]` is the unit (numbered over all groups) behind channel i of that side, -1 where the
    channel belongs to no group. `side` is "in" (read), "out" (produced) or "through" (a layer that
    treats channels one by one: batch norm, PReLU, depthwise convolution). `remove(layer, channels)`
    is the torch-pruning function that takes channels away on that side.
    """

    layer: str
    side: str
    units: Indices
    remove: Callable[[nn.Module, list[int]], nn.Module]


@dataclass(frozen=True)
class Wiring:
    """The coupled channel groups of a network.

    `groups` maps a group's name (its first producing layer) to its number of units, in the order of
    the network's layers. `slots` lists every layer side they touch. `dims` gives, per entry of the
    state dict, the governed dimensions and their unit maps. `whole` names the couplings that stay
    as they are, with the reason.
    """

    groups: dict[str, int]
    slots: tuple[Slot, ...]
    dims: dict[str, dict[int, Indices]]
    whole: dict[str, str]


@dataclass
class _Coupling:
    """Units of one dependency group before they get their final numbers."""

    name: str
    size: int
    parts: dict[tuple[str, str], tuple[Indices, Indices]]
    removers: dict[tuple[str, str], Callable[[nn.Module, list[int]], nn.Module]]
    problem: str


def trace(model: nn.Module, example_input: torch.Tensor) -> Wiring:
    """Return the wiring of `model`, traced by torch-pruning's dependency graph on a copy.

    `example_input` is one image [1, C, H, W]. The network's input and its outputs (a coupling that no
    layer reads) never form a group. A coupling that runs through an operation for which removing a
    channel is not the same as masking it where it is read is left whole.
    """
    copy = deepcopy(model).requires_grad_(True)
    with torch.enable_grad():
        graph = tp.DependencyGraph().build_dependency(copy, [example_input], verbose=False)
    couplings = _couplings(copy, graph)
    readable = [c for c in couplings if any(side == "in" for _, side in c.parts) or c.problem]
    admitted = [c for c in readable if not c.problem]
    slots = _slots(copy, admitted)
    return Wiring(
        groups={c.name: c.size for c in admitted},
        slots=slots,
        dims=_dims(copy, slots),
        whole={c.name: c.problem for c in readable if c.problem},
    )


def _couplings(model: nn.Module, graph: tp.DependencyGraph) -> list[_Coupling]:
    names = {layer: name for name, layer in model.named_modules()}
    found: list[_Coupling] = []
    covered: dict[str, set[int]] = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, (*CONVOLUTIONS, nn.Linear)) or layer not in graph.module2node:
            continue
        open_channels = [i for i in range(layer.weight.shape[0]) if i not in covered.get(name, ())]
        if not open_channels:
            continue
        remove = graph.get_pruner_of_module(layer).prune_out_channels
        coupling = _coupling(name, open_channels, graph.get_pruning_group(layer, remove, open_channels), names)
        for (other, side), (channels, _) in coupling.parts.items():
            if side != "in":
                covered.setdefault(other, set()).update(channels.tolist())
        found.append(coupling)
    return found


def _coupling(name: str, roots: list[int], group: Any, names: dict[nn.Module, str]) -> _Coupling:
    """Translate one torch-pruning group; `problem` says why it cannot be used, or is empty."""
    position = {root: unit for unit, root in enumerate(roots)}
    coupling = _Coupling(name, len(roots), {}, {}, "")
    for item in group.items:
        layer, remove = item.dep.target.module, item.dep.handler
        side = _side(layer, remove.__name__)
        if side == "none":
            continue
        if side not in ("in", "out", "through"):
            coupling.problem = side
            continue
        channels = np.asarray(item.idxs, dtype=np.int64)
        units = np.asarray([position[root] for root in item.root_idxs], dtype=np.int64)
        key = (names[layer], side)
        coupling.parts[key] = (channels, units)
        coupling.removers[key] = remove
        if len(set(np.bincount(units, minlength=len(roots)).tolist())) > 1:
            coupling.problem = f"reaches {names[layer]} with a part of its units, or unequally often"
    return coupling


def _side(layer: nn.Module, remover: str) -> str:
    """Say where `layer` loses channels: "in", "out", "through", "none" (it has no parameters), or a problem."""
    if isinstance(layer, (*CONVOLUTIONS, nn.Linear)):
        groups = getattr(layer, "groups", 1)
        if groups == 1:
            return "in" if remover == "prune_in_channels" else "out"
        if groups == layer.weight.shape[0] == layer.in_channels:
            return "through"
        return "runs through a grouped convolution"
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return "through"
    if isinstance(layer, nn.PReLU):
        return "through" if layer.num_parameters > 1 else "none"
    if isinstance(layer, (tp.ops._ElementWiseOp, tp.ops._ReshapeOp, tp.ops._ConcatOp)):
        return "none"
    if isinstance(layer, tp.ops._OutputOp):
        return "is the network's output"
    return f"runs through {type(layer).__name__.strip('_')}"


def _slots(model: nn.Module, couplings: list[_Coupling]) -> tuple[Slot, ...]:
    units: dict[tuple[str, str], Indices] = {}
    removers: dict[tuple[str, str], Callable[[nn.Module, list[int]], nn.Module]] = {}
    start = 0
    for coupling in couplings:
        for key, (channels, members) in coupling.parts.items():
            if key not in units:
                units[key] = np.full(_width(model.get_submodule(key[0]), key[1]), -1, dtype=np.int64)
                removers[key] = coupling.removers[key]
            assert np.all(units[key][channels] < 0), f"{key[0]}: two groups claim one channel"
            units[key][channels] = members + start
        start += coupling.size
    return tuple(Slot(layer, side, units[layer, side], removers[layer, side]) for layer, side in units)


def _width(layer: nn.Module, side: str) -> int:
    weight = layer.weight
    assert isinstance(weight, torch.Tensor | None)
    if weight is None:
        assert isinstance(layer.num_features, int)
        return layer.num_features
    return weight.shape[1 if side == "in" else 0]


def _dims(model: nn.Module, slots: tuple[Slot, ...]) -> dict[str, dict[int, Indices]]:
    dims: dict[str, dict[int, Indices]] = {}
    for slot in slots:
        layer = model.get_submodule(slot.layer)
        if slot.side == "in":
            dims.setdefault(f"{slot.layer}.weight", {})[1] = slot.units
            continue
        for name, tensor in layer.state_dict().items():
            if tensor.dim() > 0:
                dims.setdefault(f"{slot.layer}.{name}", {})[0] = slot.units
    return dims
