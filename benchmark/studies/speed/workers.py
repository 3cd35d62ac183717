"""Several worker processes that share one device, against one that does all of their work."""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection

from benchmark.jobs.device import set_up
from benchmark.networks.timing import Work, seconds
from benchmark.studies.speed.load import Load


@contextmanager
def sharing(load: Load, count: int) -> Iterator[tuple[Work, Work]]:
    """Open to two ways to train `count` small networks: each in a process of its own, or all in one.

    The processes have started, and done the work once, before the first is asked for. Raises `EOFError` when one ends.
    """
    start = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    pipes, processes = [], []
    for _ in range(count):
        ours, theirs = start.Pipe()
        process = start.Process(target=_serve, args=(theirs, load), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        _ask(pipes, 1)
        yield lambda: _ask(pipes, 1), lambda: _ask(pipes[:1], count)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


def _ask(pipes: Sequence[Connection], times: int) -> None:
    for pipe in pipes:
        pipe.send(times)
    for pipe in pipes:
        pipe.recv()


def _serve(pipe: Connection, load: Load) -> None:
    """Train as often as the pipe says, and answer with the seconds it took, until the pipe closes."""
    set_up(load.device, threads=1)
    forward, train = load.training(load.small())
    with suppress(EOFError):
        while True:
            times = pipe.recv()
            pipe.send(sum(seconds(partial(train, forward), load.device) for _ in range(times)))
