"""Which parts of a network can be skipped: residual branches, and in plain networks whole layers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from benchmark.space.graph.dataflow import IMAGE, OUTPUT, Call, Dataflow, Operand, common
from benchmark.space.graph.macs import CONVOLUTIONS
from benchmark.space.graph.operators import BATCH_NORMS, LAYER_NORMS, PRODUCTS
from benchmark.space.surgery.module_edits import Change

NORMS = BATCH_NORMS | LAYER_NORMS | {"native_group_norm"}
LAYERS = (*CONVOLUTIONS, nn.Linear)
# Of nested branches the inner ones are taken where they hold more than this share of the outer one's parameters.
MOST = 0.5


@dataclass(frozen=True)
class Block:
    """A part of a network that can be skipped.

    `gates` are the parameters that silence it when they are multiplied by 0; if it is a layer, it is mixed with the
    identity instead. `module` holds the branch and the sum it goes into. `forms` are ways to take it out, the cheapest
    first, as changes of modules. `kind` tells blocks apart that do different things or lie at different stages.
    """

    name: str
    kind: tuple[Any, ...]
    gates: tuple[str, ...]
    layer: bool
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


@dataclass(frozen=True)
class _Branch:
    """What runs for one summand only: `made` is the operator of its result, `sum` that of the sum."""

    made: int
    sum: int
    inside: frozenset[int]
    parameters: frozenset[str]


def find(model: nn.Module, flow: Dataflow) -> tuple[list[Block], dict[str, str]]:
    """Return the blocks of `model` in the order of its run, none within another, and why others are none (by name).

    A residual branch is one summand of a sum of two activations: all that the network computes for this summand and
    nothing else. It has weights, and more products with weights one after the other than the other summand has of its
    own (which may be none, as in a shortcut, or a projection). Off, it gives zeros. Of nested branches the inner ones
    are blocks where they hold more than half of the outer one's parameters, else the outer one is.

    A network without any such sum has layers as blocks instead: convolutions and linear layers that give a tensor of
    the shape they take. Off, they are the identity; what follows them, norm and activation, stays: a norm's statistics
    could not be mixed with those of no norm, while a layer with weights a w + (1 - a) identity is the mixture exactly.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    shared = _shared(model)
    whole: dict[str, str] = {}
    branches = list(_branches(flow, sizes))
    if not branches:
        return list(_layers(model, flow, shared)), whole
    blocks: list[Block] = []
    for branch in _disjoint(branches, sizes):
        found = _block(model, flow, branch, shared)
        if isinstance(found, Block):
            blocks.append(found)
        else:
            whole[_place(flow, branch)] = found
    return _named(blocks, sizes), whole


def _branches(flow: Dataflow, sizes: Mapping[str, int]) -> Iterator[_Branch]:
    for number, node in enumerate(flow.nodes):
        summands = [node.reads.get(side, []) for side in ("self", "other")]
        if node.op != "add" or not node.readers or not all(len(operands) == 1 for operands in summands):
            continue
        made = [operands[0] for operands in summands]
        if made[0] == made[1] or not all(_alike(flow, one, node.shape) for one in made):
            continue
        sides = [flow.exclusive(one, number) for one in made if isinstance(one, int)]
        products = [sum(_weighted(flow, one) for one in side) for side in sides]
        if products[0] == products[1]:
            continue
        longer = 0 if products[0] > products[1] else 1
        one = made[longer]
        assert isinstance(one, int)
        owned = frozenset(name for name in sizes if flow.users.get(name) and flow.users[name] <= sides[longer])
        if owned:
            yield _Branch(one, number, sides[longer], owned)


def _alike(flow: Dataflow, operand: Operand, shape: tuple[int, ...]) -> bool:
    return isinstance(operand, int) and operand != IMAGE and flow.nodes[operand].live and _shape(flow, operand) == shape


def _shape(flow: Dataflow, operand: int) -> tuple[int, ...]:
    return flow.nodes[operand].shape


def _weighted(flow: Dataflow, number: int) -> bool:
    """Tell whether an operator is a product of an activation with a weight."""
    node = flow.nodes[number]
    return node.live and node.op in PRODUCTS and any(not _live(flow, operand) for operand in node.operands)


def _live(flow: Dataflow, operand: Operand) -> bool:
    return isinstance(operand, int) and flow.nodes[operand].live


def _disjoint(branches: list[_Branch], sizes: Mapping[str, int]) -> list[_Branch]:
    """Return the branches to take of nested ones, in the order of the run."""
    chosen: dict[_Branch, list[_Branch]] = {}
    top: list[_Branch] = []
    # A branch lies within another or apart from it, for both end in one place each.
    for branch in sorted(branches, key=lambda one: len(one.inside)):
        inner = [other for other in top if other.inside < branch.inside]
        top = [other for other in top if other not in inner]
        found = [one for other in inner for one in chosen[other]]
        held = sum(sizes[name] for one in found for name in one.parameters)
        own = sum(sizes[name] for name in branch.parameters)
        chosen[branch] = found if held > MOST * own else [branch]
        top.append(branch)
    return sorted((one for branch in top for one in chosen[branch]), key=lambda one: one.sum)


def _block(model: nn.Module, flow: Dataflow, branch: _Branch, shared: frozenset[str]) -> Block | str:
    """Return the block of a branch, or why it is none."""
    gates = _silencing(flow, branch.made, branch)
    if gates is None:
        return f"its branch ends in {flow.nodes[branch.made].op}, and no parameters are found that silence it"
    module = _holding(flow, branch)
    forms = [form for form in (_whole(model, flow, branch, module, shared),) if form]
    reason = ""
    for single in (False, True):
        parts = _parts(model, flow, branch, module, gates, shared, single)
        if isinstance(parts, str):
            reason = reason or parts
        elif tuple(parts) not in forms:
            forms.append(tuple(parts))
    if not forms:
        return reason
    node = flow.nodes[branch.sum]
    steps = [flow.nodes[number] for number in sorted(branch.inside)]
    kind = (node.shape, tuple(step.op for step in steps if step.live and step.op in PRODUCTS | NORMS))
    return Block("", kind, tuple(sorted(gates)), False, module, tuple(forms))


def _silencing(flow: Dataflow, operand: Operand, branch: _Branch) -> frozenset[str] | None:
    """Return the parameters, used in this branch only, that make a tensor zero when they are zero; None: none do.

    Found by going back from the tensor: through sums and concatenations on all ways, through products to the factor
    that comes from parameters only, through a norm to its scale and shift, and through all else that reads one thing.
    """
    if isinstance(operand, str):
        return frozenset([operand]) if operand in branch.parameters else None
    if operand not in branch.inside:
        return None
    node = flow.nodes[operand]
    if node.op in NORMS:
        scale = node.reads.get("weight", [])
        return _all(flow, [*scale, *node.reads.get("bias", [])], branch) if scale else None
    if node.op in ("add", "sub", "cat", "stack"):
        return _all(flow, node.operands, branch)
    if node.op in PRODUCTS or node.op == "mul":
        shift = "bias" if node.op == "convolution" else "self" if node.op in ("addmm", "baddbmm", "addmv") else ""
        factors = [one for argument, ones in node.reads.items() if argument != shift for one in ones]
        for factor in sorted(factors, key=lambda one: _live(flow, one)):
            found = _all(flow, [factor, *node.reads.get(shift, [])], branch)
            if found is not None:
                return found
        return None
    live = [one for one in node.operands if _live(flow, one)]
    sources = live if node.live else node.operands
    return _silencing(flow, sources[0], branch) if len(sources) == 1 else None


def _all(flow: Dataflow, operands: list[Operand], branch: _Branch) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for operand in operands:
        names = _silencing(flow, operand, branch)
        if names is None:
            return None
        found |= names
    return found if operands else None


def _holding(flow: Dataflow, branch: _Branch) -> str:
    """Return the innermost module in whose call the branch and its sum run."""
    paths = [flow.nodes[number].modules for number in (branch.sum, *branch.inside) if flow.nodes[number].live]
    return common(paths)[-1]


def _place(flow: Dataflow, branch: _Branch) -> str:
    return _holding(flow, branch) or "the network itself"


def _whole(
    model: nn.Module, flow: Dataflow, branch: _Branch, module: str, shared: frozenset[str]
) -> tuple[Change, ...]:
    """Return how to take out the whole module around a branch, if nothing in it has parameters but the branch."""
    call = _only_call(flow, module)
    if not module or call is None or call.results != 1 or call.taken != call.given:
        return ()
    if not _owns(model, branch, module, shared):
        return ()
    return ({"module": module, "replace": "identity"},)


def _owns(model: nn.Module, branch: _Branch, module: str, shared: frozenset[str]) -> bool:
    """Tell whether all parameters of a module are the branch's, and there are some."""
    names = [f"{module}.{name}" for name, _ in model.get_submodule(module).named_parameters()]
    return bool(names) and all(name in branch.parameters and name not in shared for name in names)


def _parts(
    model: nn.Module,
    flow: Dataflow,
    branch: _Branch,
    module: str,
    gates: frozenset[str],
    shared: frozenset[str],
    single: bool,
) -> list[Change] | str:
    """Return how to take out the modules of a branch one by one, or why that cannot be.

    The largest modules are taken that lie in the branch, or `single` layers.
    """
    parts: list[tuple[str, Call]] = []
    for name, layer in _children(model.get_submodule(module), module):
        found = _collect(model, flow, branch, name, layer, shared, single)
        if isinstance(found, str):
            return found
        parts += found
    if not parts:
        return "its parameters are not in modules of its own"
    last = max(parts, key=lambda part: max(flow.within(part[0])))[0]
    silent = {name for name, _ in parts if any(gate.startswith(f"{name}.") for gate in gates)} or {last}
    changes = [_replacement(name, call, name in silent) for name, call in parts]
    unfit = next((name for (name, _), change in zip(parts, changes, strict=True) if change is None), None)
    return _reshapes(unfit) if unfit is not None else [change for change in changes if change is not None]


def _children(layer: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    for child, below in layer.named_children():
        yield (f"{name}.{child}" if name else child), below


def _collect(
    model: nn.Module,
    flow: Dataflow,
    branch: _Branch,
    name: str,
    layer: nn.Module,
    shared: frozenset[str],
    single: bool,
) -> list[tuple[str, Call]] | str:
    """The largest modules (or `single` layers) at or below `name` that can be taken out, or why one of them cannot."""
    ran = set(flow.within(name))
    call = _only_call(flow, name)
    if call is not None and ran and ran <= branch.inside and _owns(model, branch, name, shared):
        inner = any(flow.calls.get(child) for child, _ in _children(layer, name))
        fits = call.taken is not None and (call.taken == call.given or isinstance(layer, LAYERS))
        if fits and not (single and inner):
            return [(name, call)]
        if not fits and not inner:
            return _reshapes(name)
    parts: list[tuple[str, Call]] = []
    for child, below in _children(layer, name):
        found = _collect(model, flow, branch, child, below, shared, single)
        if isinstance(found, str):
            return found
        parts += found
    return parts


def _reshapes(name: str) -> str:
    return f"{name} gives another shape than it takes"


def _replacement(name: str, call: Call, silent: bool) -> Change | None:
    """What stands where a module was: zeros where it is `silent` or its shape changes, else what it reads."""
    size = _resized(call)
    if size is None:
        return None
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


def _only_call(flow: Dataflow, module: str) -> Call | None:
    calls = flow.calls.get(module, [])
    return calls[0] if len(calls) == 1 else None


def _shared(model: nn.Module) -> frozenset[str]:
    """Return the names of parameters that several modules share."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return frozenset(name for several in names.values() if len(several) > 1 for name in several)


def _layers(model: nn.Module, flow: Dataflow, shared: frozenset[str]) -> Iterator[Block]:
    """Yield the convolutions and linear layers of equal input and output shape."""
    for name, layer in model.named_modules():
        call = _only_call(flow, name)
        if not isinstance(layer, LAYERS) or call is None or call.taken != call.given or call.results != 1:
            continue
        names = [f"{name}.{key}" for key, _ in layer.named_parameters()]
        ran = sorted(flow.within(name))
        if shared & set(names) or any(not flow.users.get(one, set()) <= set(ran) for one in names):
            continue
        if any(OUTPUT in flow.nodes[number].readers for number in ran):
            continue
        kind = (call.given, tuple(flow.nodes[number].op for number in ran if flow.nodes[number].op in PRODUCTS))
        yield Block(name, kind, tuple(names), True, name, (({"module": name, "replace": "identity"},),))


def _named(blocks: list[Block], sizes: Mapping[str, int]) -> list[Block]:
    """Name blocks after the module around them, or where that holds several, after their largest part."""
    around = [block.module for block in blocks]
    result = []
    for block in blocks:
        name = block.module
        if not name or around.count(name) > 1:
            form = next((form for form in block.forms if form[0]["module"] != block.module), block.changes)
            parts = [change["module"] for change in form]
            name = max(parts, key=lambda part: sum(size for key, size in sizes.items() if key.startswith(f"{part}.")))
        result.append(replace(block, name=name))
    return result
