"""How a residual branch is taken out of a network: its modules give zeros, or what they read."""

import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from benchmark.space.graph.dataflow import Call, Dataflow
from benchmark.space.surgery.blocks import LAYERS, only_call
from benchmark.space.surgery.module_edits import Change


class CannotBeTakenOut(Exception):
    """Says why a branch cannot be taken out."""


class TakeOut:
    """The ways to take a branch out of `model`.

    `inside` are the operators that run for the branch only, `parameters` those that only they use, without what several
    modules share; `module` holds the branch and the sum it goes into.
    """

    def __init__(
        self, model: nn.Module, flow: Dataflow, inside: frozenset[int], parameters: frozenset[str], module: str
    ) -> None:
        self._model, self._flow = model, flow
        self._inside, self._parameters = inside, parameters
        self._module = module

    def forms(self, gates: frozenset[str]) -> list[tuple[Change, ...]]:
        """Return the ways to take the branch out, the cheapest first; raise `CannotBeTakenOut` where there is none.

        `gates` are the parameters that silence it.
        """
        forms = [form for form in (self._whole(),) if form]
        problems = []
        for single in (False, True):
            try:
                form = self._one_by_one(gates, single)
            except CannotBeTakenOut as problem:
                problems.append(problem)
            else:
                if form not in forms:
                    forms.append(form)
        if not forms:
            raise problems[0]
        return forms

    def _whole(self) -> tuple[Change, ...]:
        """The whole module around the branch, if nothing in it has parameters but the branch."""
        call = only_call(self._flow, self._module)
        if not self._module or call is None or call.results != 1 or call.taken != call.given:
            return ()
        return ({"module": self._module, "replace": "identity"},) if self._owns(self._module) else ()

    def _one_by_one(self, gates: frozenset[str], single: bool) -> tuple[Change, ...]:
        """The largest modules that lie in the branch, or `single` layers, each by itself."""
        parts = list(self._parts(self._module, single))
        if not parts:
            raise CannotBeTakenOut("its parameters are not in modules of its own")
        last = max(parts, key=lambda part: max(self._flow.within(part[0])))[0]
        silent = {name for name, _ in parts if any(gate.startswith(f"{name}.") for gate in gates)} or {last}
        return tuple(_replacement(name, call, name in silent) for name, call in parts)

    def _parts(self, module: str, single: bool) -> Iterator[tuple[str, Call]]:
        """Yield the largest modules (or `single` layers) below `module` that can be taken out."""
        for child, layer in self._model.get_submodule(module).named_children():
            name = f"{module}.{child}" if module else child
            call = self._own_call(name)
            inner = any(self._flow.calls.get(f"{name}.{below}") for below, _ in layer.named_children())
            fits = call and call.taken is not None and (call.taken == call.given or isinstance(layer, LAYERS))
            if call is not None and fits and not (single and inner):
                yield name, call
            elif call is not None and not fits and not inner:
                raise _reshapes(name)
            else:
                yield from self._parts(name, single)

    def _own_call(self, name: str) -> Call | None:
        """The only call of a module that runs in the branch only and whose parameters are all the branch's."""
        ran = set(self._flow.within(name))
        return only_call(self._flow, name) if ran and ran <= self._inside and self._owns(name) else None

    def _owns(self, module: str) -> bool:
        """Tell whether all parameters of a module are the branch's, and there are some."""
        names = [f"{module}.{name}" for name, _ in self._model.get_submodule(module).named_parameters()]
        return bool(names) and all(name in self._parameters for name in names)


def _reshapes(name: str) -> CannotBeTakenOut:
    return CannotBeTakenOut(f"{name} gives another shape than it takes")


def _replacement(name: str, call: Call, silent: bool) -> Change:
    """What stands where a module was: zeros where it is `silent` or its shape changes, else what it reads."""
    size = _resized(call)
    if size is None:
        raise _reshapes(name)
    settings: dict[str, Any] = ({"results": call.results} if call.results > 1 else {}) | size
    change: Change = {"module": name, "replace": "zero" if silent or size else "identity"}
    return change | ({"set": settings} if settings else {})


def _resized(call: Call) -> dict[str, int] | None:
    """Return what turns the shape that a layer takes into the one it gives: the size of a dimension, and a stride."""
    assert call.taken is not None and call.given is not None
    if call.taken == call.given:
        return {}
    if len(call.taken) != len(call.given):
        return None
    dim = 1 if len(call.given) == 4 else len(call.given) - 1
    result = {"size": call.given[dim], "dim": dim}
    if len(call.given) == 4:
        stride = max(1, round(call.taken[2] / call.given[2]))
        if any(math.ceil(taken / stride) != given for taken, given in zip(call.taken[2:], call.given[2:], strict=True)):
            return None
        return result | ({"stride": stride} if stride > 1 else {})
    return result if call.taken[:-1] == call.given[:-1] else None
