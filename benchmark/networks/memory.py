"""The memory that a piece of work needs on a CPU, counted tensor by tensor."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(network: nn.Module, images: Tensor) -> int:
    """Return the most bytes of tensors that are alive at once in one pass, beside weights, buffers and `images`.

    They are counted, not measured: equal networks give equal numbers on every machine. What a single kernel takes for
    itself and returns before it ends (an unfolded image, a blocked copy) is not seen.
    """
    given = [*network.parameters(), *network.buffers(), images]
    # Without inference mode, under which attention and batch norm would look like one operation each.
    with torch.no_grad():
        return peak_of(lambda: network(images), given)


def peak_of(work: Callable[[], object], given: Iterable[Tensor] = ()) -> int:
    """Return the most bytes of tensors that are alive at once while `work` runs, of those it makes itself.

    Counted as by `peak_bytes`, backward passes included; `given` are tensors from before that it may write to.
    """
    with _Alive(list(given)) as alive:
        work()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Adds up the storages of all operations' results while they live."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._bytes: dict[int, int] = {}
        # Their addresses cannot be given to new storages, because the caller holds them.
        self._given = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do the operation, and note what it made."""
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage())
        self.peak = max(self.peak, sum(self._bytes.values()))
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._bytes and key not in self._given:
            self._bytes[key] = storage.nbytes()
            weakref.finalize(storage, self._bytes.pop, key)
