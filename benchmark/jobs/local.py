"""Run jobs in processes of this machine."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Literal

from benchmark.errors import BenchError
from benchmark.jobs.damage import DamagedJob
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.limits import Limits
from benchmark.jobs.store import Context
from benchmark.jobs.worker import work

POLL_SECONDS = 0.2  # between two looks at what jobs with limits take


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; `share` of its work done, `seconds` it took once finished."""

    kind: Literal["skipped", "waiting", "started", "progress", "finished", "failed"]
    job: Job[Spec]
    message: str = ""
    share: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """A job that could not be computed, and why (a traceback, or one line); `damage`: a finished job that it needs."""

    job: Job[Spec]
    reason: str
    damage: DamagedJob | None = None


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job[Spec]
    index: int
    ready: bool = False
    begun: float = 0.0


def available_workers(threads: int = 1, device: str = "cpu", slots: int = 1) -> int:
    """Return how many workers this machine holds, at least one.

    On the CPU that is as many as the usable cores hold with `threads` threads each, on CUDA `slots` per GPU.
    """
    if device == "cuda":
        import torch

        return max(1, slots * torch.cuda.device_count())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def run_jobs(
    jobs: Sequence[Job[Spec]],
    context: Context,
    workers: int = 1,
    threads: int = 1,
    on_event: Callable[[Event], None] = lambda _event: None,
    deterministic: bool = True,
    limits: Limits | None = None,
    alone: Callable[[Job[Spec]], bool] = lambda _job: False,
) -> list[Failure]:
    """Compute the jobs that the store lacks and publish them there; return those that failed, in the given order.

    Every job runs in a worker process, also with `workers=1`. Jobs of one key are computed once; the longest (by
    `hint`) start first. A job that raises, or whose worker is killed, is a failure and the others go on. An interrupt
    or SIGTERM ends the workers at once; what is published stays, and the next call computes only the rest.
    On CUDA the workers take the machine's GPUs in turn; what `deterministic` means there, `set_up` says.
    With `limits` every job has a process of its own, and one that exceeds them is a failure. Of the jobs that are
    `alone` only one runs at a time, beside others.

    Raises `BenchError` when the store cannot be written: nothing that is computed could be kept.
    """
    missing: dict[str, Job[Spec]] = {}
    for job in jobs:
        if context.store.has(job.key):
            on_event(Event("skipped", job))
        else:
            missing.setdefault(job.key, job)
    if not missing:
        return []
    context.store.sweep()
    failures = _Pool(context, threads, on_event, deterministic, limits, alone).run(
        sorted(missing.values(), key=lambda job: -job.hint), workers
    )
    order = {key: position for position, key in enumerate(missing)}
    return sorted(failures, key=lambda failure: order[failure.job.key])


class _Pool:
    """The workers of one `run_jobs` call."""

    def __init__(
        self,
        context: Context,
        threads: int,
        on_event: Callable[[Event], None],
        deterministic: bool,
        limits: Limits | None,
        alone: Callable[[Job[Spec]], bool],
    ) -> None:
        self.context = context
        self.threads = threads
        self.on_event = on_event
        self.deterministic = deterministic
        self.limits = limits
        self.alone = alone
        self.workers: list[_Worker] = []
        self.waiting: deque[Job[Spec]] = deque()
        self.failures: list[Failure] = []

    def run(self, jobs: Sequence[Job[Spec]], workers: int) -> list[Failure]:
        self.waiting.extend(jobs)
        start = _start_method(jobs, self.context.device)
        with _terminable():
            try:
                while self.waiting or self.workers:
                    while len(self.workers) < workers and (job := self._next(self.workers)) is not None:
                        self._start(start, job)
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

    def _next(self, beside: Sequence[_Worker]) -> Job[Spec] | None:
        """Take the next job; None when there is none that may run beside those workers' jobs."""
        crowded = any(self.alone(worker.job) for worker in beside)
        for position, job in enumerate(self.waiting):
            if not (crowded and self.alone(job)):
                del self.waiting[position]
                return job
        return None

    def _start(self, start: Any, job: Job[Spec]) -> None:
        ours, theirs = start.Pipe()
        context = self.context
        # The place of one that was killed is free again, so that every GPU keeps its share of the workers.
        index = min(set(range(len(self.workers) + 1)) - {worker.index for worker in self.workers})
        places = (context.store.root.resolve(), context.data_root.resolve())
        settings = (context.device, self.threads, self.deterministic, index)
        process = start.Process(target=work, args=(theirs, *places, *settings), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, job, index)
        self.workers.append(worker)
        self._hand_over(worker, job)

    def _hand_over(self, worker: _Worker, job: Job[Spec]) -> None:
        worker.job, worker.begun = job, time.monotonic()
        with suppress(BrokenPipeError):  # a worker that has ended is found by _serve
            worker.pipe.send(job)
        self.on_event(Event("started", job))

    def _serve(self) -> None:
        """Wait until a worker has something to say, and act on it; end those that exceed the limits."""
        ready = wait([worker.pipe for worker in self.workers], None if self.limits is None else POLL_SECONDS)
        for worker in list(self.workers):
            if worker.pipe in ready:
                try:
                    message = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    self._bury(worker)
                else:
                    self._handle(worker, *message)
            elif self.limits is not None:
                reason = self.limits.exceeded(worker.process.pid, time.monotonic() - worker.begun)
                if reason is not None:
                    worker.process.kill()
                    self._end(worker)
                    self._fail(worker.job, reason)

    def _handle(self, worker: _Worker, kind: str, *details: Any) -> None:
        if kind == "ready":
            worker.ready = True
            return
        if kind == "progress":
            self.on_event(Event("progress", worker.job, message=details[0], share=details[1]))
            return
        if kind == "fatal":
            raise BenchError(details[0])
        if kind == "finished":
            self.on_event(Event("finished", worker.job, share=1.0, seconds=details[0]))
        elif kind == "damaged":
            damage = DamagedJob(*details[0])
            self._fail(worker.job, str(damage), damage)
        else:
            self._fail(worker.job, details[0])
        # A job with limits must not answer for what another one left in its process.
        others = [one for one in self.workers if one is not worker]
        following = self._next(others) if self.limits is None else None
        if following is not None:
            self._hand_over(worker, following)
        else:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()

    def _bury(self, worker: _Worker) -> None:
        self._end(worker)
        code = worker.process.exitcode or 0
        if not worker.ready:
            raise RuntimeError(f"a worker process could not start (exit code {code}); its error is printed above")
        killed = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = ": the machine may be short of memory, try fewer workers" if code == -signal.SIGKILL else ""
        self._fail(worker.job, f"its worker process {killed}{hint}")

    def _fail(self, job: Job[Spec], reason: str, damage: DamagedJob | None = None) -> None:
        self.failures.append(Failure(job, reason, damage))
        self.on_event(Event("failed", job, message=reason))


def _start_method(jobs: Sequence[Job[Spec]], device: str) -> Any:
    """How workers start: forked from a server that imported the heavy libraries once, or afresh where forks are unsafe.

    A fork of this process would inherit whatever threads it has started. CUDA does not survive a fork, and any
    library that is imported may ask it for the number of GPUs.
    """
    if sys.platform != "linux" or device == "cuda":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "benchmark.jobs.worker", *sorted({job.spec.module for job in jobs})])
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
