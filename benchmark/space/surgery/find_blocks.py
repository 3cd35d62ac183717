"""Which parts of a network can be skipped: residual branches, and in plain networks whole layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import nn

from benchmark.space.graph.dataflow import IMAGE, Dataflow, Operand, common
from benchmark.space.graph.operators import PRODUCTS
from benchmark.space.surgery.blocks import Block, shared_parameters
from benchmark.space.surgery.find_layers import NORMS, layers
from benchmark.space.surgery.take_out import CannotBeTakenOut, TakeOut

# Of nested branches the inner ones are taken where they hold more than this share of the outer one's parameters.
MOST = 0.5


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

    A network without any such sum has layers as blocks instead (`find_layers`). Off, a layer passes on what it takes.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    shared = shared_parameters(model)
    whole: dict[str, str] = {}
    branches = list(_branches(flow, sizes))
    if not branches:
        return layers(model, flow, shared), whole
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
    try:
        forms = TakeOut(model, flow, branch.inside, branch.parameters - shared, module).forms(gates)
    except CannotBeTakenOut as problem:
        return str(problem)
    node = flow.nodes[branch.sum]
    steps = [flow.nodes[number] for number in sorted(branch.inside)]
    kind = (node.shape, tuple(step.op for step in steps if step.live and step.op in PRODUCTS | NORMS))
    return Block("", kind, tuple(sorted(gates)), (), module, tuple(forms))


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
