"""Training through `torch.compile`, against training as it is."""

from functools import partial

import torch
from torch._inductor.utils import fresh_cache

from benchmark.networks.timing import seconds
from benchmark.studies.speed.load import Training


def compiled(training: Training, pairs: int, device: str, mode: str = "default") -> tuple[list[float], list[float]]:
    """Return how many times faster the compiled training is, once per pair: with the compilation, and without it.

    Every pair compiles anew, with empty caches: each architecture of a suite is another network. Raises `RuntimeError`
    where torch cannot compile the forward pass as one graph, or has no C++ compiler for the CPU.
    """
    forward, train = training
    train(forward)
    first, later = [], []
    for _ in range(pairs):
        torch.compiler.reset()
        with fresh_cache():
            quick = torch.compile(forward, fullgraph=True, mode=mode)
            cold, warm = (seconds(partial(train, quick), device) for _ in range(2))
        plain = seconds(partial(train, forward), device)
        first.append(plain / cold)
        later.append(plain / warm)
    return first, later
