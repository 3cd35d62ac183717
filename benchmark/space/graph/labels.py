"""Which index set every element of a tensor carries, while a network runs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from benchmark.space.graph.gates import gates
from benchmark.space.graph.index_sets import NONE, IndexSets


class Labels:
    """The index sets behind the elements of parameters, buffers and activations of one run of `model`.

    `stack` holds the names of the modules that are running, outermost first; `aliases` gives a tensor that has several
    names the one it is known by.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._tensors: dict[int, list[tuple[str, Tensor]]] = {}
        self._held = WeakIdKeyDictionary()
        self.stack: list[str] = []
        self.aliases: dict[str, str] = {}
        parameters = model.named_parameters(remove_duplicate=False)
        for name, tensor in [*parameters, *model.named_buffers(remove_duplicate=False)]:
            if tensor.is_floating_point() and tensor.numel():
                known = self._known(tensor)
                if known is None:
                    self._tensors.setdefault(tensor.untyped_storage().data_ptr(), []).append((name, tensor))
                else:
                    self.aliases[name] = known[0]
        self.index_sets = IndexSets(
            {name: tuple(tensor.shape) for held in self._tensors.values() for name, tensor in held}
        )

    @property
    def where(self) -> str:
        """Return the name of the module that is running."""
        return next((name for name in reversed(self.stack) if name), "the network itself")

    @property
    def kind(self) -> str:
        """Return the class of that module."""
        name = next((name for name in reversed(self.stack) if name), "")
        return type(self._model.get_submodule(name)).__name__

    def parameter(self, tensor: Tensor) -> tuple[str, Tensor] | None:
        """Return name and tensor of the parameter or buffer that `tensor` is, or is a view of."""
        if tensor in self._held or not tensor.numel():
            return None
        return self._known(tensor)

    def _known(self, tensor: Tensor) -> tuple[str, Tensor] | None:
        """Return the parameter in whose part of a storage `tensor` begins; several may lie in one storage."""
        for name, whole in self._tensors.get(tensor.untyped_storage().data_ptr(), []):
            if 0 <= tensor.storage_offset() - whole.storage_offset() < whole.numel():
                return name, whole
        return None

    def labelled(self, tensor: Tensor) -> bool:
        """Tell whether a tensor's elements carry index sets."""
        return tensor in self._held or self.parameter(tensor) is not None

    def of(self, tensor: Tensor) -> Tensor:
        """Return the index sets of a tensor's elements, in its shape; NONE where there are none."""
        if tensor in self._held:
            found: Tensor = self._held[tensor]
            return found
        known = self.parameter(tensor)
        if known is None:
            return torch.full((), NONE).expand(tensor.shape)
        name, whole = known
        elements = self.index_sets.elements(name)
        in_memory = torch.full((int(_places(whole, whole).max()) + 1,), NONE)
        in_memory[_places(whole, whole)] = elements
        return in_memory[_places(tensor, whole)]

    def set(self, tensor: Tensor, label: Tensor | None) -> None:
        """Say what index sets a new tensor carries."""
        if label is not None:
            assert label.shape == tensor.shape, f"{label.shape} {tensor.shape}"
            self._held[tensor] = label

    def write(self, tensor: Tensor, label: Tensor) -> None:
        """Say what index sets a tensor carries that was written to; those of which it is a view follow."""
        held = self._held.get(tensor)
        label = label.expand(tensor.shape)
        if held is None or 0 in held.stride():
            self._held[tensor] = label.clone()
        else:
            held.copy_(label.clone())

    def met(self, tensors: Sequence[Tensor]) -> Tensor:
        """Join the index sets of what meets element by element; returns one for each element.

        A gate of one channel is joined with nothing, and stays.
        """
        labels = [self.of(tensor) for tensor in tensors]
        if len(labels) > 1:
            spread = gates(tensors, labels, self.index_sets)
            for label in (label for label, gate in zip(labels, spread, strict=True) if gate):
                self.index_sets.keep(label, f"is one channel that meets all channels of another layer in {self.where}")
            labels = [label for label, gate in zip(labels, spread, strict=True) if not gate]
        whole = labels[0]
        for place, label in enumerate(labels[1:], start=1):
            for other in labels[:place]:
                self.index_sets.meet(other, label)
            whole = self.index_sets.stronger(whole, label)
        return whole

    def mixed(self, label: Tensor, dims: Sequence[int], operation: str, strict: bool = True) -> Tensor:
        """Join all index sets along `dims`; returns one of them, with `dims` of size 1.

        `strict`: what is mixed with something of no index set could not be cut, for its place would stay.
        """
        if not dims:
            return label
        first = label.amax(tuple(dims), keepdim=True)
        self.index_sets.join(first, label, f"{operation} in {self.where}")
        if strict:
            partial = (label.amin(tuple(dims), keepdim=True) == NONE) & (first != NONE)
            self.index_sets.keep(first[partial], f"runs through {operation} in {self.where} beside constants")
        return first


def _places(tensor: Tensor, whole: Tensor) -> Tensor:
    """Return where in memory a tensor's elements lie, counted from the first element of `whole`."""
    index = torch.full((), tensor.storage_offset() - whole.storage_offset())
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        index = index.unsqueeze(-1) + (torch.arange(size) * stride).view([1] * dim + [size])
    return index
