"""The layers of a plain network that can be left out: each with the norm and the activation behind it."""

from collections.abc import Iterator

import torch
from torch import nn

from benchmark.space.graph.dataflow import OUTPUT, Dataflow
from benchmark.space.graph.operators import BATCH_NORMS, LAYER_NORMS, POINTWISE
from benchmark.space.surgery.blocks import LAYERS, Block, only_call

NORMS = BATCH_NORMS | LAYER_NORMS | {"native_group_norm"}


def layers(model: nn.Module, flow: Dataflow, shared: frozenset[str]) -> list[Block]:
    """Return the layers of `model` that have an identity path, in the order of the run.

    A convolution or linear layer that gives the shape it takes, with the norm and the activation that follow as modules
    of their own. They are one kind, whatever their stage: any of them can be left out as long as another one stays.
    `shared` are the parameters that several modules share; a layer with any is none.
    """
    found = []
    for name, module in model.named_modules():
        if isinstance(module, LAYERS) and _keeps_the_shape(model, flow, name, shared):
            parts = tuple(_with_what_follows(model, flow, name, shared))
            forms = (tuple({"module": part, "replace": "identity"} for part in parts),)
            found.append(Block(name, ("layer",), (), parts, name, forms))
    return sorted(found, key=lambda block: min(flow.within(block.layer[0])))


def _with_what_follows(model: nn.Module, flow: Dataflow, part: str, shared: frozenset[str]) -> Iterator[str]:
    yield part
    following = _next(flow, part)
    while following and _keeps_the_shape(model, flow, following, shared):
        yield following
        following = _next(flow, following)


def _next(flow: Dataflow, part: str) -> str:
    """Return the module that alone reads what `part` gives, if it is a norm or an activation, or ""."""
    made = max(flow.within(part))
    readers = flow.nodes[made].readers
    if len(readers) != 1 or OUTPUT in readers:
        return ""
    node = flow.nodes[min(readers)]
    read = [one for one in node.operands if isinstance(one, int) and flow.nodes[one].live]
    module = node.modules[-1] if node.modules else ""
    fits = node.op in NORMS or _elementwise(node.op)
    return module if fits and read == [made] and module and min(flow.within(module)) > made else ""


def _elementwise(op: str) -> bool:
    packet = getattr(torch.ops.aten, op, None)
    overloads = [] if packet is None else packet.overloads()
    return op in POINTWISE or any(torch.Tag.pointwise in getattr(packet, one).tags for one in overloads)


def _keeps_the_shape(model: nn.Module, flow: Dataflow, name: str, shared: frozenset[str]) -> bool:
    """Tell whether a module runs once, gives the shape it takes, and no other module knows what is in it."""
    call, ran = only_call(flow, name), set(flow.within(name))
    if call is None or call.taken is None or call.taken != call.given or call.results != 1 or not ran:
        return False
    names = [f"{name}.{key}" for key, _ in model.get_submodule(name).named_parameters()]
    if shared & set(names) or any(not flow.users.get(one, set()) <= ran for one in names):
        return False
    return not any(OUTPUT in flow.nodes[number].readers for number in ran)
