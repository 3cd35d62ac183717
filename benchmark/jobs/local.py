"""Run cells in processes of this machine."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Literal

from benchmark.errors import BenchError
from benchmark.jobs.store import Cell, Context
from benchmark.jobs.worker import work


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell; `share` of its work done, `seconds` it took once finished."""

    kind: Literal["skipped", "started", "progress", "finished", "failed"]
    cell: Cell
    message: str = ""
    share: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed, and why (a traceback, or one line)."""

    cell: Cell
    reason: str


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    cell: Cell
    index: int
    ready: bool = False


def available_jobs(threads: int = 1, device: str = "cpu", slots: int = 1) -> int:
    """Return how many workers this machine holds, at least one.

    On the CPU that is as many as the usable cores hold with `threads` threads each, on CUDA `slots` per GPU.
    """
    if device == "cuda":
        import torch

        return max(1, slots * torch.cuda.device_count())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def run_cells(
    cells: Sequence[Cell],
    context: Context,
    jobs: int = 1,
    threads: int = 1,
    on_event: Callable[[Event], None] = lambda _event: None,
    deterministic: bool = True,
) -> list[Failure]:
    """Compute the cells that the store lacks and publish them there; return those that failed, in the given order.

    Every cell runs in a worker process, also with `jobs=1`. Cells of one key are computed once; the longest (by
    `hint`) start first. A cell that raises, or whose worker is killed, is a failure and the others go on. An interrupt
    or SIGTERM ends the workers at once; what is published stays, and the next call computes only the rest.
    On CUDA the workers take the machine's GPUs in turn; what `deterministic` means there, `set_up` says.

    Raises `BenchError` when the store cannot be written: nothing that is computed could be kept.
    """
    missing: dict[str, Cell] = {}
    for cell in cells:
        if context.store.has(cell.key):
            on_event(Event("skipped", cell))
        else:
            missing.setdefault(cell.key, cell)
    if not missing:
        return []
    context.store.sweep()
    failures = _Pool(context, threads, on_event, deterministic).run(
        sorted(missing.values(), key=lambda cell: -cell.hint), jobs
    )
    order = {key: position for position, key in enumerate(missing)}
    return sorted(failures, key=lambda failure: order[failure.cell.key])


class _Pool:
    """The workers of one `run_cells` call."""

    def __init__(self, context: Context, threads: int, on_event: Callable[[Event], None], deterministic: bool) -> None:
        self.context = context
        self.threads = threads
        self.on_event = on_event
        self.deterministic = deterministic
        self.workers: list[_Worker] = []
        self.waiting: deque[Cell] = deque()
        self.failures: list[Failure] = []

    def run(self, cells: Sequence[Cell], jobs: int) -> list[Failure]:
        self.waiting.extend(cells)
        start = _start_method(cells, self.context.device)
        with _terminable():
            try:
                while self.waiting or self.workers:
                    while self.waiting and len(self.workers) < jobs:
                        self._start(start, self.waiting.popleft())
                    self._serve()
            except BaseException:
                for worker in self.workers:
                    worker.process.kill()
                raise
            finally:
                for worker in self.workers:
                    worker.pipe.close()
                    worker.process.join()
        return self.failures

    def _start(self, start: Any, cell: Cell) -> None:
        ours, theirs = start.Pipe()
        context = self.context
        # The place of one that was killed is free again, so that every GPU keeps its share of the workers.
        index = min(set(range(len(self.workers) + 1)) - {worker.index for worker in self.workers})
        places = (context.store.root.resolve(), context.data_root.resolve())
        settings = (context.device, self.threads, self.deterministic, index)
        process = start.Process(target=work, args=(theirs, *places, *settings), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, cell, index)
        self.workers.append(worker)
        self._hand_over(worker, cell)

    def _hand_over(self, worker: _Worker, cell: Cell) -> None:
        worker.cell = cell
        with suppress(BrokenPipeError):  # a worker that has ended is found by _serve
            worker.pipe.send(cell)
        self.on_event(Event("started", cell))

    def _serve(self) -> None:
        """Wait until a worker has something to say, and act on it."""
        ready = wait([worker.pipe for worker in self.workers])
        for worker in [worker for worker in self.workers if worker.pipe in ready]:
            try:
                message = worker.pipe.recv()
            except (EOFError, ConnectionResetError):
                self._bury(worker)
            else:
                self._handle(worker, *message)

    def _handle(self, worker: _Worker, kind: str, *details: Any) -> None:
        if kind == "ready":
            worker.ready = True
            return
        if kind == "progress":
            self.on_event(Event("progress", worker.cell, message=details[0], share=details[1]))
            return
        if kind == "fatal":
            raise BenchError(details[0])
        if kind == "finished":
            self.on_event(Event("finished", worker.cell, share=1.0, seconds=details[0]))
        else:
            self._fail(worker.cell, details[0])
        if self.waiting:
            self._hand_over(worker, self.waiting.popleft())
        else:
            self.workers.remove(worker)
            worker.pipe.close()
            worker.process.join()

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        if not worker.ready:
            raise RuntimeError(f"a worker process could not start (exit code {code}); its error is printed above")
        killed = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = ": the machine may be short of memory, try fewer jobs" if code == -signal.SIGKILL else ""
        self._fail(worker.cell, f"its worker process {killed}{hint}")

    def _fail(self, cell: Cell, reason: str) -> None:
        self.failures.append(Failure(cell, reason))
        self.on_event(Event("failed", cell, message=reason))


def _start_method(cells: Sequence[Cell], device: str) -> Any:
    """How workers start: forked from a server that imported the heavy libraries once, or afresh where forks are unsafe.

    A fork of this process would inherit whatever threads it has started. CUDA does not survive a fork, and any
    library that is imported may ask it for the number of GPUs.
    """
    if sys.platform != "linux" or device == "cuda":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "benchmark.jobs.worker", *sorted({cell.module for cell in cells})])
    return context


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the workers are ended before this process is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
