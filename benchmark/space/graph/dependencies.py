"""Which channels of a network are coupled, and where each of them is produced and read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmark.models.copying import copied
from benchmark.space.graph.index_sets import NONE, Outcome, Side
from benchmark.space.graph.literals import Literal
from benchmark.space.graph.products import Weighted
from benchmark.space.graph.tracer import OUTPUT, Tracer

Indices = np.ndarray[Any, np.dtype[np.int64]]
UNLIKE = "is coupled like no other channel: none else is cut from the same dimensions of the same tensors, as often"


@dataclass(frozen=True)
class DependencyGraph:
    """The coupled channel groups of a network.

    `groups` maps a group's name (its first producing layer) to its number of units, in the order of the network's
    layers. `dims` gives, per entry of the state dict, the governed dimensions and the unit (numbered over all groups)
    behind each of their indices, -1 where an index belongs to no group; also of buffers that the state dict leaves out.
    `producers` and `readers` are the parameters' dimensions on which units are made and read (a depthwise convolution
    does neither: they go through). `whole` names the couplings that stay as they are, with the reason, and `cuts`, for
    groups that went through an operation that cuts at a position, which. `weighted` and `products` are the
    multiply-accumulates of one run: with a weight, and of activations with each other (units [n + 1], the last entry
    for those that always stay); `uncounted` says why those are not all, if they are not. `idle` are the modules with
    parameters that took no part in the run, of which nobody knows what they read: they lie on a branch not taken.
    `literals` are the numbers in the network's code that are restated when units go; where there are such, no attribute
    that counts heads is set.
    """

    groups: dict[str, int]
    dims: dict[str, dict[int, Indices]]
    producers: tuple[tuple[str, int], ...]
    readers: tuple[tuple[str, int], ...]
    whole: dict[str, str]
    cuts: dict[str, str]
    weighted: tuple[Weighted, ...]
    products: Indices
    uncounted: str = ""
    idle: tuple[str, ...] = ()
    literals: tuple[Literal, ...] = ()


@dataclass(frozen=True)
class _Group:
    name: str
    components: Sequence[int]


def trace(model: nn.Module, example_input: Tensor) -> DependencyGraph:
    """Return the dependency graph of `model`, by one run in eval mode on the first image of `example_input` [N, ...].

    The network's input and its outputs never form a group, nor do channels that an operator mixes with others
    which cannot go with them. A group needs at least two units. `model`, which runs on the CPU, is left as it was.
    """
    tracer = _traced(model, example_input)
    outcome = tracer.index_sets.outcome()
    order = {name: place for place, name in enumerate(dict(model.named_parameters()))}
    dims = _dims(outcome)
    groups, whole = _groups(outcome, dims, order)
    if not groups and not whole:
        # What a computed kernel makes are no channels of a weight, so there is no coupling to name.
        whole = dict(tracer.contractions.computed)
    unit = _units(outcome, groups)
    governed = _governed(dims, unit, tracer.labels.aliases)
    producers, readers = _ends(outcome, governed, order, tracer.contractions.depthwise)
    return DependencyGraph(
        groups={group.name: len(group.components) for group in groups},
        dims=governed,
        producers=producers,
        readers=readers,
        whole=whole,
        cuts={g.name: outcome.cuts[c] for g in groups for c in reversed(g.components) if c in outcome.cuts},
        weighted=tuple(tracer.contractions.weighted),
        products=_products(tracer, outcome, unit, sum(len(group.components) for group in groups)),
        uncounted=tracer.uncounted.fault,
        idle=tracer.idle(),
    )


def literals(model: nn.Module, example_input: Tensor, names: Sequence[str]) -> tuple[Literal, ...]:
    """Return the numbers in the network's code that count units of the groups of these names, by another run."""
    tracer = _traced(model, example_input, noting=True)
    outcome = tracer.index_sets.outcome()
    order = {name: place for place, name in enumerate(dict(model.named_parameters()))}
    groups, _ = _groups(outcome, _dims(outcome), order)
    found = tracer.literals.of(_unit_of(outcome.owner, _units(outcome, groups)))
    return about(found, {group.name: len(group.components) for group in groups}, names)


def about(found: Sequence[Literal], groups: Mapping[str, int], names: Sequence[str]) -> tuple[Literal, ...]:
    """Return those calls' numbers where at least one counts units of the groups of these names."""
    ends = dict(zip(groups, np.cumsum([*groups.values()]).tolist(), strict=True))
    units = np.concatenate([np.arange(ends[name] - groups[name], ends[name]) for name in names])
    calls = {(one.module, one.call) for one in found if np.isin(one.units, units).any()}
    return tuple(one for one in found if (one.module, one.call) in calls)


def _traced(model: nn.Module, example_input: Tensor, noting: bool = False) -> Tracer:
    """The tracer after one run on the CPU, with the numbers of the network's calls if `noting`."""
    if next(model.parameters()).device.type != "cpu":
        model = copied(model).cpu()
    image = example_input[:1].detach().cpu()
    tracer = Tracer(model, image)
    with tracer.watching(), tracer.literals.watching() if noting else nullcontext():
        tracer.output(model(image))
    return tracer


def _governed(
    dims: Mapping[str, Mapping[int, Indices]], unit: Indices, aliases: Mapping[str, str]
) -> dict[str, dict[int, Indices]]:
    """The unit behind each index of the dimensions that have any, also of tensors known by another name."""
    found = {name: {dim: unit[components] for dim, components in entry.items()} for name, entry in dims.items()}
    found = {
        name: {dim: units for dim, units in entry.items() if (units != NONE).any()} for name, entry in found.items()
    }
    found |= {alias: found[name] for alias, name in aliases.items() if name in found}
    return {name: entry for name, entry in found.items() if entry}


def _ends(
    outcome: Outcome, governed: Mapping[str, Mapping[int, Indices]], order: Mapping[str, int], through: Set[str]
) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]:
    """The dimensions of parameters on which units are made, and those on which they are read."""
    sides = [side for side in outcome.sides if side.dim in governed.get(side.tensor, {})]
    makes = [side for side in sides if not side.reads and side.tensor in order and side.tensor not in through]
    reads = [side for side in sides if side.reads]
    producers, readers = (tuple((side.tensor, side.dim) for side in some) for some in (makes, reads))
    return producers, readers


def _products(tracer: Tracer, outcome: Outcome, unit: Indices, size: int) -> Indices:
    """The multiply-accumulates of activations with each other, by unit; the last entry for those that always stay."""
    products = np.zeros(size + 1, dtype=np.int64)
    unit_of = _unit_of(outcome.component, unit)
    for label, each in tracer.contractions.products:
        # NONE is -1 and so counts as the last one.
        products += each * np.bincount(unit_of[label.numpy().ravel()] % len(products), minlength=len(products))
    return products


def _unit_of(component: Indices, unit: Indices) -> Indices:
    """The unit of every index set by its component, -1 for those of none and, in the last place, for NONE."""
    return np.append(unit[np.minimum(component, len(unit) - 1)], NONE)


def only(graph: DependencyGraph, names: Sequence[str], whole: dict[str, str]) -> DependencyGraph:
    """Return the dependency graph with the groups of these names only; `whole` says why the others stay as they are."""
    starts = np.cumsum([0, *graph.groups.values()])
    renamed = np.full(starts[-1] + 1, NONE, dtype=np.int64)
    sizes = {name: size for name, size in graph.groups.items() if name in names}
    place = 0
    for (name, size), start in zip(graph.groups.items(), starts, strict=False):
        if name in sizes:
            renamed[start : start + size] = np.arange(place, place + size)
            place += size
    dims = {name: {dim: renamed[units] for dim, units in entry.items()} for name, entry in graph.dims.items()}
    dims = {name: {dim: units for dim, units in entry.items() if (units != NONE).any()} for name, entry in dims.items()}
    products = np.zeros(place + 1, dtype=np.int64)
    np.add.at(products, renamed, graph.products)
    stated = tuple(replace(one, units=renamed[one.units]) for one in graph.literals)
    return replace(
        graph,
        groups=sizes,
        dims={name: entry for name, entry in dims.items() if entry},
        producers=tuple(side for side in graph.producers if side[1] in dims.get(side[0], {})),
        readers=tuple(side for side in graph.readers if side[1] in dims.get(side[0], {})),
        whole={**graph.whole, **whole},
        products=products,
        literals=stated,
    )


def _dims(outcome: Outcome) -> dict[str, dict[int, Indices]]:
    """Return the component behind each index of each dimension that has any."""
    dims: dict[str, dict[int, Indices]] = defaultdict(dict)
    for side, components in outcome.sides.items():
        dims[side.tensor][side.dim] = components
    for name, components in outcome.elements.items():
        if components.ndim == 0 or (components == NONE).all():
            continue
        dim = _varying(components)
        if dim is None:
            for component in np.unique(components[components != NONE]).tolist():
                outcome.whole.setdefault(component, f"cuts {name} along more than one dimension")
        else:
            dims[name][dim] = np.moveaxis(components, dim, 0).reshape(components.shape[dim], -1)[:, 0]
    return dims


def _varying(components: Indices) -> int | None:
    """Return the only dimension along which components differ."""
    for dim, size in enumerate(components.shape):
        table = np.moveaxis(components, dim, 0).reshape(size, -1)
        if (size > 1 or components.size == 1) and (table == table[:, :1]).all():
            return dim
    return None


def _groups(
    outcome: Outcome, dims: dict[str, dict[int, Indices]], order: dict[str, int]
) -> tuple[list[_Group], dict[str, str]]:
    """Return the groups in the network's order, and why other couplings are none.

    Units are of one group when they are cut from the same dimensions of the same tensors, equally often.
    """
    signatures: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for name, entry in dims.items():
        for dim, components in entry.items():
            found, counts = np.unique(components[components != NONE], return_counts=True)
            for component, count in zip(found.tolist(), counts.tolist(), strict=True):
                signatures[component].append((name, dim, count))
    made: dict[int, tuple[int, int]] = {}
    width: dict[int, int] = {}
    read: set[int] = set()
    buffers: dict[int, str] = {}
    names = list(order)
    for side, index, component in _producers(outcome, order):
        made.setdefault(component, (order[side.tensor], index))
        width.setdefault(component, len(outcome.sides[side]))
    for side, components in outcome.sides.items():
        if side.reads:
            read.update(components.tolist())
            if side.tensor not in order:
                buffers.update(dict.fromkeys(components.tolist(), side.tensor))
    # What nothing reads is the network's output, or what an operation without a rule reads.
    read.update(component for component, reason in outcome.whole.items() if reason != OUTPUT)
    found_groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for component in sorted(set(made) & read, key=made.__getitem__):
        # Sides of the same tensors cut equally often, and made by the same layer first.
        found_groups[made[component][0], *sorted(signatures[component])].append(component)
    groups: list[_Group] = []
    whole: dict[str, str] = {}
    for key, members in sorted(found_groups.items(), key=lambda item: made[item[1][0]]):
        first = names[key[0]].removesuffix(".weight")
        taken = len([1 for group in groups if group.name.split(":")[0] == first]) + sum(
            name.split(":")[0] == first for name in whole
        )
        name = f"{first}:{taken + 1}" if taken else first
        reason = next((outcome.whole[c] for c in members if c in outcome.whole), "")
        if not reason and len(members) == 1:
            why = outcome.mixed.get(members[0])
            alone = "has one channel" if width[members[0]] == 1 else UNLIKE
            reason = f"its channels can only go together: {why} mixes them" if why else alone
        if not reason and members[0] in buffers:
            reason = f"runs through a product with the buffer {buffers[members[0]]}, and only parameters can be masked"
        if reason:
            whole[name] = reason
        else:
            groups.append(_Group(name, members))
    return groups, whole


def _producers(outcome: Outcome, order: dict[str, int]) -> Iterator[tuple[Side, int, int]]:
    sides = [side for side in outcome.sides if not side.reads and side.tensor in order]
    for side in sorted(sides, key=lambda side: order[side.tensor]):
        for index, component in enumerate(outcome.sides[side].tolist()):
            yield side, index, component


def _units(outcome: Outcome, groups: list[_Group]) -> Indices:
    """Return the unit of each component, NONE for the others (and for NONE itself, the last entry)."""
    highest = max((int(components.max()) for components in outcome.sides.values()), default=0)
    unit = np.full(highest + 2, NONE, dtype=np.int64)
    place = 0
    for group in groups:
        unit[list(group.components)] = np.arange(place, place + len(group.components))
        place += len(group.components)
    return unit
