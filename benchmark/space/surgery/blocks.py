"""What a block is: a part of a network that can be skipped, and how it is taken out."""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from benchmark.space.graph.dataflow import Call, Dataflow
from benchmark.space.graph.macs import CONVOLUTIONS
from benchmark.space.surgery.module_edits import Change

LAYERS = (*CONVOLUTIONS, nn.Linear)


@dataclass(frozen=True)
class Block:
    """A part of a network that can be skipped: a residual branch, or a layer of a plain network.

    A branch that is off adds zeros: `gates` are the parameters that silence it when they are multiplied by 0. A layer
    that is off passes on what it takes: `layer` are its modules in the order of the run, a convolution or linear layer
    and the norm and activation behind it; of a branch there are none. `module` holds the branch and the sum it goes
    into. `forms` are ways to take the block out, the cheapest first, as changes of modules. `kind` tells blocks apart
    that do different things or lie at different stages.
    """

    name: str
    kind: tuple[Any, ...]
    gates: tuple[str, ...]
    layer: tuple[str, ...]
    module: str
    forms: tuple[tuple[Change, ...], ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that take it out."""
        return self.forms[0]

    @property
    def gone(self) -> tuple[str, ...]:
        """The modules that are taken out."""
        return tuple(change["module"] for change in self.changes)

    def takes(self, name: str) -> bool:
        """Tell whether a module, parameter or buffer goes with it."""
        return any(name == module or name.startswith(f"{module}.") for module in self.gone)

    def next_form(self) -> "Block | None":
        """Return the block with the next way to take it out."""
        return replace(self, forms=self.forms[1:]) if len(self.forms) > 1 else None


def only_call(flow: Dataflow, module: str) -> Call | None:
    """Return the call of a module that is called once, or None."""
    calls = flow.calls.get(module, [])
    return calls[0] if len(calls) == 1 else None


def shared_parameters(model: nn.Module) -> frozenset[str]:
    """Return the names of parameters that several modules share."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return frozenset(name for several in names.values() if len(several) > 1 for name in several)
