"""Two ways to do the same work, timed in turn."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

Work = Callable[[], object]


def ratios(work: Work, rival: Work, pairs: int, device: str) -> list[float]:
    """Return how many times faster `work` is than `rival`, once per pair.

    Both are done once beforehand, then in turn, A B A B ..., so that what else the machine does meets both.
    """
    work()
    rival()
    times = [(seconds(work, device), seconds(rival, device)) for _ in range(pairs)]
    return [other / own for own, other in times]


def seconds(work: Work, device: str) -> float:
    """Return how long `work` takes, until the device has done all of it."""
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile of at least two values."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
