"""Sizes that a network's code states in its calls (`reshape(B, N, C)`, a split at fixed places), and the units behind.

A layer that was cut gives fewer channels than such a call says. What the tracer knows of the call's elements tells
which units its numbers count, so that they can be restated for any choice of units.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from benchmark.models.loader import STATING, numbers_of
from benchmark.space.graph.index_sets import NONE, Array
from benchmark.space.graph.labels import Labels


@dataclass(frozen=True)
class Literal:
    """A number in a call: `size` counts indices of which `units` [size] are behind each (-1: one that always stays).

    `call` is the function and which of its calls it is while `module` runs, those of the module's parts included;
    `place` is that among the call's numbers.
    """

    module: str
    call: str
    place: int
    size: int
    units: Array


@dataclass(frozen=True)
class _Stated:
    """A number as it was met, with the labels of the tensor that it describes, and how many indices of which `dim`."""

    place: int
    size: int
    dim: int
    label: Tensor


class Literals(TorchFunctionMode):
    """Notes, while a traced network runs, the numbers that calls of `loader.STATING` state."""

    def __init__(self, model: nn.Module, labels: Labels) -> None:
        super().__init__()
        self._model, self._labels = model, labels
        self._running: list[tuple[str, Counter[str]]] = []
        self._found: dict[tuple[str, str], list[list[_Stated]]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the calls of all that runs inside."""
        handles = []
        for name, module in self._model.named_modules():
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._enter(name)))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> None:
        self._running.append((name, Counter()))

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, and note what it states."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in STATING and self._running:
            module, counts = self._running[-1]
            with _disable_current_modes():  # the tracer follows the network, not this
                stated = list(self._stated(name, args, kwargs, out))
            self._found.setdefault((module, f"{name} {counts[name]}"), []).append(stated)
            for _, counted in self._running:
                counted[name] += 1
        return out

    def _stated(self, name: str, args: Any, kwargs: Any, out: Any) -> Iterator[_Stated]:
        numbers = numbers_of(name, args, kwargs)
        if name == "__getitem__":
            label = _collapsed(self._labels.of(args[0]))
            for (place, number), dim in zip(numbers.items(), _dims(args), strict=True):
                if 0 < number < args[0].shape[dim]:
                    yield _Stated(place, number, dim, label)
        elif name == "split":
            dim = kwargs.get("dim", args[2] if len(args) > 2 else 0)
            for place, part in enumerate(out):
                yield _Stated(place, part.shape[dim], dim % part.dim(), _collapsed(self._labels.of(part)))
        else:
            label = _collapsed(self._labels.of(out))
            for place, number in numbers.items():
                if number == out.shape[place]:
                    yield _Stated(place, number, place, label)

    def of(self, unit_of: Array) -> tuple[Literal, ...]:
        """Return the numbers that count units; `unit_of` gives the unit of every index set, -1 for none and for -1."""
        found = []
        for (module, call), runs in self._found.items():
            read = [_counted(stated, unit_of) for stated in runs]
            if read[0] and all(_equal(read[0], other) for other in read[1:]):
                found += [Literal(module, call, place, len(units), units) for place, units in read[0].items()]
        return tuple(found)


def _counted(stated: list[_Stated], unit_of: Array) -> dict[int, Array]:
    """Return the units that each number counts, by its place; nothing of a call in which none does."""
    found = {}
    for one in stated:
        units = _along(unit_of[one.label.numpy()], one.dim)
        found[one.place] = np.full(one.size, NONE) if len(units) == 1 < one.size else units[: one.size]
    counting = {place: units for place, units in found.items() if (units != NONE).any()}
    # Parts that always stay belong to a split as well.
    whole = bool(counting) and len({one.dim for one in stated}) == 1 and len(stated) > 1
    return found if whole else counting


def _along(units: Array, dim: int) -> Array:
    """Return the unit behind each index of `dim`; all -1 where one stands for several, or no index differs."""
    table = np.moveaxis(units, dim, 0).reshape(units.shape[dim], -1)
    first = table.max(axis=1)
    single = ((table == first[:, None]) | (table == NONE)).all() and len(np.unique(first)) > 1
    return first if single else np.full(len(first), NONE)


def _equal(one: dict[int, Array], other: dict[int, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[place], other[place]) for place in one)


def _collapsed(label: Tensor) -> Tensor:
    """Return labels of which each dimension that makes no difference has size 1: a copy, mostly a small one."""
    for dim, size in enumerate(label.shape):
        if size > 1 and bool((label == label.narrow(dim, 0, 1)).all()):
            label = label.narrow(dim, 0, 1)
    return label.clone()


def _dims(args: Any) -> Iterator[int]:
    """Yield, for each number of the slices of an index, which dimension it is about."""
    tensor, index = args
    entries = index if isinstance(index, tuple) else (index,)
    dim = 0
    for entry in entries:
        if entry is Ellipsis:
            dim = tensor.dim() - sum(one is not None for one in entries[entries.index(Ellipsis) + 1 :])
        elif entry is not None:
            if isinstance(entry, slice):
                yield from (dim for number in (entry.start, entry.stop) if type(number) is int)
            dim += 1
