"""One run of a network in which every element of every activation carries the index set it comes from.

The network runs as it is, and each of PyTorch's operators is followed by a rule that says which index sets its outputs
carry. Operators that only move elements are applied to the labels themselves, so any reshaping, shuffling or splitting
is followed exactly. Operators that work element by element join the index sets that meet. Operators that mix elements
(normalisation over channels, softmax, products of activations) join all that they mix: what is mixed can only be
cut together, which is how attention heads and the channels of grouped convolutions become units of their own accord.
What an operator without a rule reads is never cut.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from benchmark.space.graph.call import Call
from benchmark.space.graph.index_sets import NONE
from benchmark.space.graph.labels import Labels
from benchmark.space.graph.literals import Literals
from benchmark.space.graph.operators import (
    ALONG,
    BATCH_NORMS,
    CUTS,
    FACTORIES,
    FLOATING,
    LAYER_NORMS,
    MOVES,
    POINTWISE,
    PRODUCTS,
    REDUCTIONS,
    SILENT,
    spatial_dims,
)
from benchmark.space.graph.plain_run import plain_operators
from benchmark.space.graph.products import Contractions
from benchmark.space.graph.uncounted import Uncounted

OUTPUT = "is the network's output"


class Tracer(TorchDispatchMode):
    """Follows one run of `model` on `image`; `labels`, `contractions` and `uncounted` are what it learns.

    `literals` learns the numbers in the network's calls, if it watches as well.
    """

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        super().__init__()
        self._model = model
        self.uncounted = Uncounted(model, image)
        self.read: set[str] = set()  # the parameters that some operator read
        self._modules = {module: name for name, module in model.named_modules()}
        self._weights = WeakIdKeyDictionary()  # what attention of the library returns, and the module's name
        self.labels = Labels(model)
        self.index_sets = self.labels.index_sets
        self.contractions = Contractions(self.labels)
        self.literals = Literals(model, self.labels)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow all that runs inside."""
        handles = []
        for module, name in self._modules.items():
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self.labels.stack.append(name)))
            handles.append(module.register_forward_hook(self._leave, with_kwargs=True, always_call=True))
        try:
            with plain_operators(self._model), self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _leave(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        name = self.labels.stack.pop()
        if isinstance(module, nn.RNNBase):
            self._couple_layers(name, module)
        if not isinstance(module, nn.MultiheadAttention) or not isinstance(result, tuple):
            return
        masks = [*given[3:4], *given[5:6], named.get("key_padding_mask"), named.get("attn_mask")]
        if any(mask is not None for mask in masks):
            self.index_sets.keep_all(name, f"runs through {name} with a mask, which has no form with fewer heads")
        if result[1] is not None:
            self._weights[result[1]] = name

    def _couple_layers(self, name: str, module: nn.RNNBase) -> None:
        """Let all layers and directions of a recurrent module lose the same states: it has one number for them."""
        states = {
            leaf: [f"{name}.{one}".lstrip(".") for one, _ in module.named_parameters() if one.startswith(leaf)]
            for leaf in ("weight_hh_", "weight_hr_")
        }
        first, *others = [self.index_sets.side(one, 1, True) for one in states["weight_hh_"]]
        for other in others:
            self.index_sets.join(first, other)
        for one in states["weight_hr_"]:
            reason = f"runs through {name}, whose states and their projections may not come to be equally many"
            for side in (self.index_sets.side(one, 0, False), self.index_sets.side(one, 1, True)):
                self.index_sets.keep(side, reason)

    def _used(self, tensors: Iterable[Tensor]) -> None:
        """Leave attention whole whose weights are used: with fewer heads it gives none."""
        for name in [self._weights.pop(tensor) for tensor in tensors if tensor in self._weights]:
            self.index_sets.keep_all(name, f"runs through {name}, whose attention weights are used")

    def idle(self) -> tuple[str, ...]:
        """The modules with parameters of their own of which no operator read any, or not one that is a matrix."""
        found = []
        for module, name in self._modules.items():
            held = list(module.parameters(recurse=False))
            own = [known[0] for known in map(self.labels.parameter, held) if known]
            unread = [one for one in held if (known := self.labels.parameter(one)) and known[0] not in self.read]
            if own and (len(unread) == len(own) or any(min(one.shape[:2]) > 1 for one in unread if one.dim() > 1)):
                found.append(name)
        return tuple(found)

    def output(self, value: Any) -> None:
        """Say that `value` is what the network returns."""
        tensors = [tensor for tensor in tree_leaves(value) if isinstance(tensor, Tensor)]
        self._used(tensors)
        for tensor in tensors:
            self.index_sets.keep(self.labels.of(tensor), OUTPUT)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and follow what its elements carry."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        call = Call.of(func, args, kwargs, out)
        if call.name not in SILENT:
            self.read.update(known[0] for known in map(self.labels.parameter, call.tensors) if known)
            self._follow(call)
        self.uncounted.follow(func, call.name, call.named, call.tensors, call.results)
        return out

    def _follow(self, call: Call) -> None:
        if self._weights:
            self._used(call.tensors)
        rule = next(rule for applies, rule in _RULES if applies(self, call))
        rule(self, call)

    def _copy(self, call: Call) -> None:
        self.labels.write(call.args[0], self.labels.of(call.args[1]))

    def _make(self, call: Call) -> None:
        self.labels.set(call.out, torch.full(call.out.shape, NONE))

    def _multiply(self, call: Call) -> None:
        self.contractions.follow(call.name, call.named, call.out)

    def _pass(self, call: Call) -> None:
        """Nothing that carries an index set is read."""

    def _meet(self, call: Call) -> None:
        label = self.labels.met(call.tensors)
        for result in call.results:
            (self.labels.write if call.mutable else self.labels.set)(result, label.expand(result.shape))

    def _mix_along(self, call: Call) -> None:
        read = call.args[0]
        label = self.labels.mixed(self.labels.of(read), [call.named.get("dim", -1)], call.name.strip("_"))
        self._same_shape(call, label.expand(read.shape))

    def _mix_in_space(self, call: Call) -> None:
        dims = list(range(-spatial_dims(call.name), 0))
        self._same_shape(call, self.labels.mixed(self.labels.of(call.args[0]), dims, call.name, strict=False))

    def _keep(self, call: Call) -> None:
        for one in call.tensors:
            self.index_sets.keep(self.labels.of(one), f"runs through {call.name} in {self.labels.where}")
        self.contractions.count_only(call.name, call.named, call.out)

    def _move(self, call: Call) -> None:
        inputs = [t for t in tree_leaves(call.args) if isinstance(t, Tensor) and not _is_index(t)]
        # A view of a parameter is known by its memory.
        if not any(self.labels.labelled(t) for t in inputs) or all(self.labels.parameter(t) for t in call.results):
            return
        arguments, named = tree_map_only(
            Tensor, lambda t: t if _is_index(t) else self.labels.of(t), (call.args, call.kwargs)
        )
        for result, label in zip(call.results, tree_leaves(_moved(call, arguments, named)), strict=True):
            self.labels.set(result, label)
            if call.name in CUTS and label.numel() < arguments[0].numel():
                self.index_sets.cut(label, f"{call.name} in {self.labels.where}")

    def _reduce(self, call: Call) -> None:
        tensor = call.named.get("self", call.named.get("input"))
        assert isinstance(tensor, Tensor)
        dims = call.named.get("dim")
        dims = [dims] if isinstance(dims, int) else list(dims or range(tensor.dim()))
        label = self.labels.mixed(self.labels.of(tensor), dims, "a mean or maximum", strict=False)
        for result in call.results:
            self.labels.set(result, label.reshape(result.shape))

    def _same_shape(self, call: Call, label: Tensor) -> None:
        for result in call.results:
            if result.dim() == label.dim() and result.numel():
                self.labels.set(result, label.expand(result.shape) if _expands(label, result) else None)

    def _batch_norm(self, call: Call) -> None:
        tensor = call.named["input"]
        label = self.labels.of(tensor)
        self._affine(call, label, tensor.dim(), ("weight", "bias", "running_mean", "running_var"))
        self._first(call, label)

    def _layer_norm(self, call: Call) -> None:
        label = self.labels.of(call.named["input"])
        self.labels.mixed(label, range(-len(call.named["normalized_shape"]), 0), "layer norm")
        for name in ("weight", "bias"):
            if call.named.get(name) is not None:
                self.index_sets.meet(label, self.labels.of(call.named[name]))
        self._first(call, label)

    def _group_norm(self, call: Call) -> None:
        tensor, groups = call.named["input"], call.named["group"]
        label = self.labels.of(tensor)
        self.labels.mixed(label.reshape(tensor.shape[0], groups, -1), [2], "group norm")
        self._affine(call, label, tensor.dim(), ("weight", "bias"))
        self._first(call, label)

    def _affine(self, call: Call, label: Tensor, dims: int, names: Iterable[str]) -> None:
        """Let the per-channel tensors of a norm meet the channels of what it reads."""
        shape = [-1 if dim == 1 else 1 for dim in range(dims)]
        for name in names:
            if call.named.get(name) is not None:
                self.index_sets.meet(label, self.labels.of(call.named[name]).view(shape))

    def _first(self, call: Call, label: Tensor) -> None:
        self.labels.set(call.out[0] if isinstance(call.out, tuple | list) else call.out, label)


def _moved(call: Call, arguments: Any, named: Any) -> Any:
    """The labels where the operator moves their elements."""
    if call.name == "_to_copy":
        return arguments[0].clone()
    if call.name == "constant_pad_nd":
        return call.func(arguments[0], arguments[1], NONE)
    if call.name in FLOATING:
        # Counted from 1, so that the zeros of a padding stand for nothing.
        return call.func((arguments[0] + 1).double(), *arguments[1:], **named).round().long() - 1
    if call.name in ("view", "_unsafe_view"):
        # The labels may lie in memory in another order than what they stand for.
        return arguments[0].reshape(call.out.shape)
    if call.mutable:
        return call.func(arguments[0].clone(), *arguments[1:], **named)
    return call.func(*arguments, **named)


def _is_index(tensor: Tensor) -> bool:
    return not tensor.is_floating_point()


def _expands(label: Tensor, result: Tensor) -> bool:
    return all(one in (1, other) for one, other in zip(label.shape, result.shape, strict=True))


def _named(names: Iterable[str]) -> Callable[[Tracer, Call], bool]:
    return lambda _, call: call.name in names


# What applies to a call, and the rule that follows it; the first that applies counts.
_RULES: list[tuple[Callable[[Tracer, Call], bool], Callable[[Tracer, Call], None]]] = [
    (lambda _, call: call.mutable and call.name == "copy", Tracer._copy),
    (_named(FACTORIES), Tracer._make),
    (_named(PRODUCTS), Tracer._multiply),
    (_named(MOVES), Tracer._move),
    (lambda tracer, call: not any(map(tracer.labels.labelled, call.tensors)), Tracer._pass),
    (lambda _, call: torch.Tag.pointwise in call.func.tags or call.name in POINTWISE, Tracer._meet),
    (_named(REDUCTIONS), Tracer._reduce),
    (_named(ALONG), Tracer._mix_along),
    (lambda _, call: spatial_dims(call.name) > 0, Tracer._mix_in_space),
    (_named(BATCH_NORMS), Tracer._batch_norm),
    (_named(LAYER_NORMS), Tracer._layer_norm),
    (_named(["native_group_norm"]), Tracer._group_norm),
    (lambda _tracer, _call: True, Tracer._keep),
]
