"""Which tensors are alive together while a piece of work runs, and how large they are."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Lifetimes:
    """The storages that a piece of work makes: `sizes` in bytes, in the order of their making, and who lives when.

    `steps` holds, after every operator, the numbers of the storages that are alive: what an operator reads is alive
    with what it makes. They are counted, not measured: equal networks give equal numbers on every machine. What a
    single kernel takes for itself and returns before it ends (an unfolded image, a blocked copy) is not seen.
    """

    sizes: tuple[int, ...]
    steps: tuple[frozenset[int], ...]

    @property
    def peak(self) -> int:
        """The most bytes that are alive at once."""
        return max((sum(self.sizes[storage] for storage in step) for step in self.steps), default=0)


def lifetimes(network: nn.Module, images: Tensor) -> Lifetimes:
    """Return the lifetimes in one run of `network`, of what it makes beside weights, buffers and `images`.

    Its operators run in PyTorch's own order.
    """
    given = [*network.parameters(), *network.buffers(), images]
    # Without inference mode, under which attention and batch norm would look like one operation each.
    with torch.no_grad():
        return lifetimes_of(lambda: network(images), given)


def lifetimes_of(work: Callable[[], object], given: Iterable[Tensor] = ()) -> Lifetimes:
    """Return the lifetimes while `work` runs, backward passes included.

    `given` are tensors from before that it may write to, which do not count.
    """
    with _Recorder(list(given)) as recorder:
        work()
    return Lifetimes(tuple(recorder.sizes), tuple(recorder.steps))


class _Recorder(TorchDispatchMode):
    """Notes the storages of all operators' results, and which of them live after each operator."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.steps: list[frozenset[int]] = []
        self._alive: dict[int, int] = {}
        # Their addresses cannot be given to new storages, because the caller holds them.
        self._given = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do the operation, and note what it made."""
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage())
        self.steps.append(frozenset(self._alive.values()))
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive and key not in self._given:
            self._alive[key] = len(self.sizes)
            self.sizes.append(storage.nbytes())
            weakref.finalize(storage, self._alive.pop, key)
