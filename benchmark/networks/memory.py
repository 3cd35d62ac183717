"""The memory that a piece of work needs on a CPU, counted tensor by tensor."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from benchmark.space.graph.live_tensors import lifetimes, lifetimes_of


def peak_bytes(network: nn.Module, images: Tensor) -> int:
    """Return the most bytes of tensors that are alive at once in one pass, beside weights, buffers and `images`.

    Counted by `benchmark.space.graph.live_tensors`, as the cost kind `memory` is.
    """
    return lifetimes(network, images).peak


def peak_of(work: Callable[[], object], given: Iterable[Tensor] = ()) -> int:
    """Return the most bytes of tensors that are alive at once while `work` runs, of those it makes itself.

    Counted as by `peak_bytes`, backward passes included; `given` are tensors from before that it may write to.
    """
    return lifetimes_of(work, given).peak
