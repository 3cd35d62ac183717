"""One run of a network in which every element of every activation carries the atom it comes from.

The network runs as it is, and each of PyTorch's operators is followed by a rule that says which atoms its outputs
carry. Operators that only move elements are applied to the labels themselves, so any reshaping, shuffling or splitting
is followed exactly. Operators that work element by element join the atoms that meet. Operators that mix elements
(normalisation over channels, softmax, products of activations) join all that they mix: what is mixed can only be
cut together, which is how attention heads and the channels of grouped convolutions become units of their own accord.
What an operator without a rule reads stays whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from benchmark.space.graph.index_sets import NONE, Atoms
from benchmark.space.graph.macs import plain_operators
from benchmark.space.graph.operators import (
    ALONG,
    BATCH_NORMS,
    CUTS,
    FACTORIES,
    FLOATING,
    LAYER_NORMS,
    MOVES,
    POINTWISE,
    REDUCTIONS,
    SILENT,
    spatial_dims,
)
from benchmark.space.graph.products import Contractions

OUTPUT = "is the network's output"


class Tracer(TorchDispatchMode):
    """Follows one run of `model`; `atoms` and `work` (multiply-accumulates) are what it learns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model
        self._modules = {module: name for name, module in model.named_modules()}
        self._tensors: dict[int, list[tuple[str, Tensor]]] = {}
        self.aliases: dict[str, str] = {}
        parameters = model.named_parameters(remove_duplicate=False)
        for name, tensor in [*parameters, *model.named_buffers(remove_duplicate=False)]:
            if tensor.is_floating_point() and tensor.numel():
                known = self._known(tensor)
                if known is None:
                    self._tensors.setdefault(tensor.untyped_storage().data_ptr(), []).append((name, tensor))
                else:
                    self.aliases[name] = known[0]
        self.atoms = Atoms({name: tuple(tensor.shape) for held in self._tensors.values() for name, tensor in held})
        self.contractions = Contractions(self)
        self._labels = WeakIdKeyDictionary()
        self._stack: list[str] = []
        self._weights = WeakIdKeyDictionary()  # what attention of the library returns, and the module's name

    @property
    def where(self) -> str:
        """Return the name of the module that is running."""
        return next((name for name in reversed(self._stack) if name), "the network itself")

    @property
    def kind(self) -> str:
        """Return the class of that module."""
        name = next((name for name in reversed(self._stack) if name), "")
        return type(self._model.get_submodule(name)).__name__

    @contextmanager
    def watching(self) -> Iterator["Tracer"]:
        """Follow all that runs inside."""
        handles = []
        for module, name in self._modules.items():
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._stack.append(name)))
            handles.append(module.register_forward_hook(self._leave, with_kwargs=True, always_call=True))
        try:
            with plain_operators(self._model), self:
                yield self
        finally:
            for handle in handles:
                handle.remove()

    def _leave(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        name = self._stack.pop()
        if not isinstance(module, nn.MultiheadAttention) or not isinstance(result, tuple):
            return
        masks = [*given[3:4], *given[5:6], named.get("key_padding_mask"), named.get("attn_mask")]
        if any(mask is not None for mask in masks):
            self.atoms.keep_all(name, f"runs through {name} with a mask, which has no form with fewer heads")
        if result[1] is not None:
            self._weights[result[1]] = name

    def _used(self, tensors: Iterable[Tensor]) -> None:
        """Leave attention whole whose weights are used: with fewer heads it gives none."""
        for name in [self._weights.pop(tensor) for tensor in tensors if tensor in self._weights]:
            self.atoms.keep_all(name, f"runs through {name}, whose attention weights are used")

    def parameter(self, tensor: Tensor) -> tuple[str, Tensor] | None:
        """Return name and tensor of the parameter or buffer that `tensor` is, or is a view of."""
        if tensor in self._labels or not tensor.numel():
            return None
        return self._known(tensor)

    def _known(self, tensor: Tensor) -> tuple[str, Tensor] | None:
        """Return the parameter in whose part of a storage `tensor` begins; several may lie in one storage."""
        for name, whole in self._tensors.get(tensor.untyped_storage().data_ptr(), []):
            if 0 <= tensor.storage_offset() - whole.storage_offset() < whole.numel():
                return name, whole
        return None

    def labelled(self, tensor: Tensor) -> bool:
        """Tell whether a tensor's elements carry atoms."""
        return tensor in self._labels or self.parameter(tensor) is not None

    def labels(self, tensor: Tensor) -> Tensor:
        """Return the atoms of a tensor's elements, in its shape; NONE where there are none."""
        if tensor in self._labels:
            found: Tensor = self._labels[tensor]
            return found
        known = self.parameter(tensor)
        if known is None:
            return torch.full((), NONE).expand(tensor.shape)
        name, whole = known
        elements = self.atoms.elements(name)
        in_memory = torch.full((int(_places(whole, whole).max()) + 1,), NONE)
        in_memory[_places(whole, whole)] = elements
        return in_memory[_places(tensor, whole)]

    def set(self, tensor: Tensor, label: Tensor | None) -> None:
        """Say what atoms a new tensor carries."""
        if label is not None:
            assert label.shape == tensor.shape, f"{label.shape} {tensor.shape}"
            self._labels[tensor] = label

    def write(self, tensor: Tensor, label: Tensor) -> None:
        """Say what atoms a tensor carries that was written to; those of which it is a view follow."""
        held = self._labels.get(tensor)
        label = label.expand(tensor.shape)
        if held is None or 0 in held.stride():
            self._labels[tensor] = label.clone()
        else:
            held.copy_(label.clone())

    def output(self, value: Any) -> None:
        """Say that `value` is what the network returns."""
        tensors = [tensor for tensor in tree_leaves(value) if isinstance(tensor, Tensor)]
        self._used(tensors)
        for tensor in tensors:
            self.atoms.keep(self.labels(tensor), OUTPUT)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and follow its labels."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        if name in SILENT:
            return out
        mutable = func._schema.is_mutable
        named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
        self._follow(func, name.removesuffix("_") if mutable else name, args, kwargs, named, out, mutable)
        return out

    def _follow(
        self, func: Any, name: str, args: Any, kwargs: Any, named: dict[str, Any], out: Any, mutable: bool
    ) -> None:
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if self._weights:
            self._used(tensors)
        if mutable and name == "copy":
            self.write(args[0], self.labels(args[1]))
        elif name in FACTORIES:
            self.set(out, torch.full(out.shape, NONE))
        elif self.contractions.follow(name, named, out):
            return
        elif name in MOVES:
            self._move(func, name, args, kwargs, out, mutable)
        elif not any(self.labelled(t) for t in tensors):
            return
        elif torch.Tag.pointwise in func.tags or name in POINTWISE:
            label = self._met([self.labels(t) for t in tensors])
            for result in [t for t in tree_leaves(out) if isinstance(t, Tensor)]:
                (self.write if mutable else self.set)(result, label.expand(result.shape))
        elif name in REDUCTIONS:
            self._reduce(named, out)
        elif name in ALONG:
            label = self.mixed(self.labels(args[0]), [named.get("dim", -1)], name.strip("_"))
            self._same_shape(out, label.expand(args[0].shape))
        elif spatial_dims(name):
            label = self.mixed(self.labels(args[0]), list(range(-spatial_dims(name), 0)), name, strict=False)
            self._same_shape(out, label)
        elif name in BATCH_NORMS:
            self._channelwise(named, out)
        elif name in LAYER_NORMS:
            self._layer_norm(named, out)
        elif name == "native_group_norm":
            self._group_norm(named, out)
        else:
            for tensor in tensors:
                self.atoms.keep(self.labels(tensor), f"runs through {name} in {self.where}")

    def _move(self, func: Any, name: str, args: Any, kwargs: Any, out: Any, mutable: bool) -> None:
        results = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        inputs = [t for t in tree_leaves(args) if isinstance(t, Tensor) and not _is_index(t)]
        # A view of a parameter is known by its memory.
        if not any(self.labelled(t) for t in inputs) or all(self.parameter(t) for t in results):
            return
        arguments, named = tree_map_only(Tensor, lambda t: t if _is_index(t) else self.labels(t), (args, kwargs))
        if name == "_to_copy":
            moved: Any = arguments[0].clone()
        elif name == "constant_pad_nd":
            moved = func(arguments[0], arguments[1], NONE)
        elif name in FLOATING:
            # Counted from 1, so that the zeros of a padding stand for nothing.
            moved = func((arguments[0] + 1).double(), *arguments[1:], **named).round().long() - 1
        elif name in ("view", "_unsafe_view"):
            # The labels may lie in memory in another order than what they stand for.
            moved = arguments[0].reshape(out.shape)
        elif mutable:
            moved = func(arguments[0].clone(), *arguments[1:], **named)
        else:
            moved = func(*arguments, **named)
        for result, label in zip(results, tree_leaves(moved), strict=True):
            self.set(result, label)
            if name in CUTS and label.numel() < arguments[0].numel():
                self.atoms.cut(label, f"{name} in {self.where}")

    def _met(self, labels: Sequence[Tensor]) -> Tensor:
        whole = labels[0]
        for place, label in enumerate(labels[1:], start=1):
            for other in labels[:place]:
                self.atoms.meet(other, label)
            whole = self.atoms.stronger(whole, label)
        return whole

    def mixed(self, label: Tensor, dims: Sequence[int], operation: str, strict: bool = True) -> Tensor:
        """Join all atoms along `dims`; returns one of them, with `dims` of size 1.

        `strict`: what is mixed with something of no atom could not be cut, for its place would stay.
        """
        if not dims:
            return label
        first = label.amax(tuple(dims), keepdim=True)
        self.atoms.join(first, label, f"{operation} in {self.where}")
        if strict:
            partial = (label.amin(tuple(dims), keepdim=True) == NONE) & (first != NONE)
            self.atoms.keep(first[partial], f"runs through {operation} in {self.where} beside constants")
        return first

    def _reduce(self, named: dict[str, Any], out: Any) -> None:
        tensor = named.get("self", named.get("input"))
        assert isinstance(tensor, Tensor)
        dims = named.get("dim")
        dims = [dims] if isinstance(dims, int) else list(dims or range(tensor.dim()))
        label = self.mixed(self.labels(tensor), dims, "a mean or maximum", strict=False)
        for result in [t for t in tree_leaves(out) if isinstance(t, Tensor)]:
            self.set(result, label.reshape(result.shape))

    def _same_shape(self, out: Any, label: Tensor) -> None:
        for result in [t for t in tree_leaves(out) if isinstance(t, Tensor)]:
            if result.dim() == label.dim() and result.numel():
                self.set(result, label.expand(result.shape) if _expands(label, result) else None)

    def _channelwise(self, named: dict[str, Any], out: Any) -> None:
        tensor = named["input"]
        label = self.labels(tensor)
        shape = [-1 if dim == 1 else 1 for dim in range(tensor.dim())]
        for name in ("weight", "bias", "running_mean", "running_var"):
            if named.get(name) is not None:
                self.atoms.meet(label, self.labels(named[name]).view(shape))
        self._first(out, label)

    def _layer_norm(self, named: dict[str, Any], out: Any) -> None:
        label = self.labels(named["input"])
        self.mixed(label, range(-len(named["normalized_shape"]), 0), "layer norm")
        for name in ("weight", "bias"):
            if named.get(name) is not None:
                self.atoms.meet(label, self.labels(named[name]))
        self._first(out, label)

    def _group_norm(self, named: dict[str, Any], out: Any) -> None:
        tensor, groups = named["input"], named["group"]
        label = self.labels(tensor)
        within = label.reshape(tensor.shape[0], groups, -1)
        self.mixed(within, [2], "group norm")
        shape = [-1 if dim == 1 else 1 for dim in range(tensor.dim())]
        for name in ("weight", "bias"):
            if named.get(name) is not None:
                self.atoms.meet(label, self.labels(named[name]).view(shape))
        self._first(out, label)

    def _first(self, out: Any, label: Tensor) -> None:
        self.set(out[0] if isinstance(out, tuple | list) else out, label)


def _is_index(tensor: Tensor) -> bool:
    return not tensor.is_floating_point()


def _places(tensor: Tensor, whole: Tensor) -> Tensor:
    """Return where in memory a tensor's elements lie, counted from the first element of `whole`."""
    index = torch.full((), tensor.storage_offset() - whole.storage_offset())
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        index = index.unsqueeze(-1) + (torch.arange(size) * stride).view([1] * dim + [size])
    return index


def _expands(label: Tensor, result: Tensor) -> bool:
    return all(one in (1, other) for one, other in zip(label.shape, result.shape, strict=True))
