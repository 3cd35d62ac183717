"""What a worker of a Dask cluster does with a job: it has it computed in a process of its own.

The worker itself then always answers its scheduler, however long a job computes or holds the interpreter; and threads,
memory and the end of a computation are in our hands, not in those of Dask's nanny.
"""

import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from distributed import get_worker

from benchmark.errors import BenchError
from benchmark.jobs.depot import Depot
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.limits import Limits
from benchmark.jobs.store import Store

TOPIC = "dapbench"  # of the events by which a worker tells what it does
POLL_SECONDS = 0.2
# The nanny sets these to 1 in its worker, before that starts. With another number of threads libraries sum in another
# order, so a job finds them as they are where the run was started.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LostProcess(Exception):
    """The process of a job ended before the job did; perhaps it does not elsewhere."""


@dataclass(frozen=True)
class Settings:
    """How the jobs of a run are computed, wherever that is; `environment` has the variables `THREADS` that are set.

    With a `depot`, `store` and `data` are places on the worker's own disk.
    """

    store: Path
    data: Path
    device: str
    threads: int
    deterministic: bool
    environment: Mapping[str, str]
    depot: Depot | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job: the `seconds` it took, or the `reason` why it failed; `fatal` is one for all jobs."""

    kind: Literal["finished", "failed", "fatal"]
    seconds: float = 0.0
    reason: str = ""


def dask_setup(_worker: Any) -> None:
    """Prepare a worker on the machine of the run: what an interrupt means is decided there, not by every process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def compute(job: Job[Spec], settings: Settings) -> Outcome:
    """Compute a job in a process of this worker, which publishes it in the store; returns what became of it.

    A job whose process needs more memory than the worker may use fails, and so does one that raises. `LostProcess` when
    the process was killed from outside. When the run no longer wants the job, its process is ended at once.
    Raises `BenchError` when the code here is not that of the run.
    """
    worker = get_worker()
    name = worker.get_current_task()
    # The job brings the key that it has where the run was started.
    if replace(job).key != job.key:
        raise BenchError(
            f"{worker.address}: its code is not that of the run ({job.label} has another key there); "
            "let both see the same checkout, and start the worker again"
        )

    def wanted() -> bool:
        task = worker.state.tasks.get(name)
        return task is not None and task.state != "cancelled"

    def tell(message: str, share: float) -> None:
        worker.log_event(TOPIC, {"task": name, "message": message, "share": share})

    tell("", 0.0)
    depot = settings.depot
    if depot is None:
        return _compute(job, settings, worker, tell, wanted)
    own = Path(worker.local_directory)
    settings = replace(settings, store=own / "jobs", data=own / "data")
    store = Store(settings.store)
    depot.fetch_inputs(job, store, settings.data)
    outcome = _compute(job, settings, worker, tell, wanted)
    if outcome.kind == "finished":
        depot.send(store, job.key)
    return outcome


def _compute(
    job: Job[Spec], settings: Settings, worker: Any, tell: Callable[[str, float], None], wanted: Callable[[], bool]
) -> Outcome:
    limits = Limits(math.inf, (worker.memory_manager.memory_limit or math.inf) / 1e9)
    while True:
        child = _take(settings, _index(worker.name))
        try:
            outcome = child.compute(job, tell, wanted, limits)
        except _OverLimit as error:
            child.end()
            if child.jobs == 1:
                return Outcome("failed", reason=str(error))
            # It may have answered for what an earlier job left in its process: once more in a new one.
        except BaseException:
            child.end()
            raise
        else:
            _IDLE.append(child)
            return outcome


class _OverLimit(Exception):
    """A process took more than it may."""


class _Child:
    """A process that computes jobs, one after another."""

    def __init__(self, settings: Settings, index: int) -> None:
        self.settings = settings
        self.jobs = 0
        self.pipe, theirs = multiprocessing.Pipe()
        environment = {name: value for name, value in os.environ.items() if name not in THREADS}
        path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        # Not by multiprocessing: the worker is a daemon of its nanny, and daemons may have no such children.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmark.jobs.child", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env={**environment, **settings.environment, "PYTHONPATH": path},
        )
        theirs.close()
        self.pipe.send(
            {
                "store_root": settings.store,
                "data_root": settings.data,
                "device": settings.device,
                "threads": settings.threads,
                "deterministic": settings.deterministic,
                "index": index,
            }
        )

    def compute(
        self, job: Job[Spec], tell: Callable[[str, float], None], wanted: Callable[[], bool], limits: Limits
    ) -> Outcome:
        self.jobs += 1
        try:
            self.pipe.send(job)
            while True:
                if self.pipe.poll(POLL_SECONDS):
                    kind, *details = self.pipe.recv()
                    if kind == "progress":
                        tell(*details)
                    elif kind != "ready":
                        return _outcome(kind, *details)
                if not wanted():
                    raise LostProcess("the run does not want it any more")
                if (reason := limits.exceeded(self.process.pid, 0.0)) is not None:
                    raise _OverLimit(reason)
        except (EOFError, ConnectionError) as error:
            code = self.process.wait()
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            hint = ": the machine may be short of memory, try fewer workers" if code == -signal.SIGKILL else ""
            raise LostProcess(f"its worker process {how}{hint}") from error

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.communicate()
        self.pipe.close()


def _outcome(kind: Any, detail: Any) -> Outcome:
    return Outcome(kind, seconds=detail) if kind == "finished" else Outcome(kind, reason=detail)


_IDLE: list[_Child] = []


def _take(settings: Settings, index: int) -> _Child:
    """A process that is free, else a new one; those of a run with other settings are ended."""
    while True:
        try:
            child = _IDLE.pop()
        except IndexError:
            return _Child(settings, index)
        if child.settings == settings and child.process.poll() is None:
            return child
        child.end()


def _index(name: object) -> int:
    """The number of a worker among those of a machine, by which it takes one of the GPUs: the last one in its name."""
    numbers = re.findall(r"\d+", str(name))
    return int(numbers[-1]) if numbers else 0
