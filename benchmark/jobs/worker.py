"""The process that computes jobs, one after another, until its pipe closes."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.jobs.damage import DamagedJob
from benchmark.jobs.device import set_up
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.store import Context, Store

PROGRESS_SECONDS = 0.5


def work(
    pipe: Connection,
    store_root: Path,
    data_root: Path,
    device: str,
    threads: int,
    deterministic: bool,
    index: int,
) -> None:
    """Serve `pipe`: receive jobs; send ("ready",) once, then ("progress", message, share) and one outcome per job.

    Outcomes: ("finished", seconds), ("failed", traceback), ("damaged", its folder, key and fault) when a finished job
    that this one needs is not intact, ("fatal", message) when the store cannot be written.
    The number of threads is the same in every worker, so a result does not depend on how many there are.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up(device, threads, deterministic, index)
    store = Store(store_root)
    with suppress(EOFError, BrokenPipeError):
        pipe.send(("ready",))
        while True:
            job = pipe.recv()
            context = Context(store, data_root, device, _reporter(pipe))
            pipe.send(_compute(job, context))


def _compute(job: Job[Spec], context: Context) -> tuple[str, float | str | tuple[Path, str, str]]:
    if context.store.has(job.key):  # another run finished it meanwhile
        return "finished", 0.0
    _reset_peak_memory()
    started, clock = time.time(), time.perf_counter()
    try:
        output = importlib.import_module(job.spec.module).compute(job, context)
    except DamagedJob as error:
        return "damaged", (error.folder, error.key, error.fault)
    except BenchError as error:
        return "failed", str(error)
    except Exception as error:
        return "failed", traceback.format_exc() + _remedy(error)
    seconds = time.perf_counter() - clock
    timing = {"started": round(started, 3), "seconds": round(seconds, 3), "peak_mb": round(_peak_memory(), 1)}
    try:
        context.store.put(job, output, timing)
    except BenchError as error:
        return "fatal", str(error)
    except Exception:
        return "failed", traceback.format_exc()
    return "finished", seconds


def _remedy(error: Exception) -> str:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "the GPU is short of memory: lower compute.slots in params.yaml, or try fewer workers"
    return ""


def _reporter(pipe: Connection) -> Callable[[str, float], None]:
    last = time.monotonic()

    def report(message: str, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            pipe.send(("progress", message, share))

    return report


def _end_with_parent() -> None:
    # A worker whose parent was killed would go on computing beside the next run.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _reset_peak_memory() -> None:
    with suppress(OSError):  # Linux only; elsewhere the peak is that of the process so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> float:
    """Peak resident memory in MB (10^6 bytes) since `_reset_peak_memory`."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
