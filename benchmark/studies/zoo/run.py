"""Check networks in processes of their own, with limits on time and memory; what is finished is kept."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmark.files import canonical_json, read_json, sha256, write_json
from benchmark.jobs.device import set_up
from benchmark.jobs.fingerprint import fingerprint
from benchmark.studies.zoo.check import Row, check, refused
from benchmark.studies.zoo.choices import Entry
from benchmark.studies.zoo.network import told
from benchmark.studies.zoo.report import versions

POLL_SECONDS = 0.2
Work = Callable[[str, str], Row]


@dataclass(frozen=True)
class Limits:
    """What checking one network may take: seconds, and GB (10^9 bytes) of resident memory (on Linux)."""

    seconds: float = 600.0
    gigabytes: float = 14.0


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    entry: Entry
    begin: float


class _Kept:
    """Finished rows in a folder, one file each, named by the network, the code that checked it, and the libraries."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.folder = folder
        self.code = [fingerprint((work.__module__,)), versions()]

    def path(self, entry: Entry) -> Path:
        return self.folder / f"{sha256(canonical_json([entry.name, *self.code]))}.json"

    def get(self, entry: Entry) -> Row | None:
        path = self.path(entry)
        return read_json(path) if path.exists() else None

    def put(self, entry: Entry, row: Row) -> None:
        write_json(self.path(entry), row)


def run(
    entries: Sequence[Entry],
    folder: Path,
    jobs: int,
    limits: Limits,
    on_row: Callable[[Row, bool], None] = lambda _row, _fresh: None,
    work: Work = check,
) -> list[Row]:
    """Return the rows of all `entries`, in their order; only those that `folder` lacks for this code are computed.

    `on_row` is told every row, and whether it is fresh. A network that exceeds a limit, or whose process dies, is
    refused with that reason, and checked again next time. An interrupt ends the processes at once.
    """
    kept = _Kept(folder, work)
    rows: dict[str, Row] = {}
    waiting: list[Entry] = []
    for entry in entries:
        row = kept.get(entry)
        if row is None:
            waiting.append(entry)
        else:
            rows[entry.name] = row
            on_row(row, False)
    waiting.sort(key=lambda entry: not entry.large)  # they take longest
    workers: list[_Worker] = []
    context = _context()
    try:
        while waiting or workers:
            while len(workers) < jobs and (following := _next(waiting, workers)) is not None:
                workers.append(_start(context, work, following))
            for worker, answer in _answers(workers, limits):
                workers.remove(worker)
                if isinstance(answer, str):
                    seconds = round(time.monotonic() - worker.begin, 1)
                    row = Row(**{**refused(worker.entry.name, worker.entry.family, answer), "seconds": seconds})
                else:
                    row = answer
                    kept.put(worker.entry, row)
                rows[worker.entry.name] = row
                on_row(row, True)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
    return [rows[entry.name] for entry in entries]


def _next(waiting: list[Entry], workers: Sequence[_Worker]) -> Entry | None:
    """Take the next network to be checked; None when there is none that may run beside those that do."""
    crowded = any(worker.entry.large for worker in workers)
    for entry in waiting:
        if not (entry.large and crowded):
            waiting.remove(entry)
            return entry
    return None


def _start(context: Any, work: Work, entry: Entry) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work, entry), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, entry, time.monotonic())


def _answers(workers: Sequence[_Worker], limits: Limits) -> Iterator[tuple[_Worker, Row | str]]:
    """Wait a moment; yield the workers that ended, or have to, with their row, or the reason why there is none."""
    ready = wait([worker.pipe for worker in workers], POLL_SECONDS)
    for worker in list(workers):
        answer: Row | str | None = None
        if worker.pipe in ready:
            with suppress(EOFError, ConnectionResetError):
                answer = worker.pipe.recv()
            worker.process.join()
            answer = answer or _death(worker.process.exitcode or 0)
        elif time.monotonic() - worker.begin > limits.seconds:
            answer = f"took longer than {limits.seconds:g} s"
        elif _resident(worker.process) > limits.gigabytes:
            answer = f"needed more than {limits.gigabytes:g} GB of memory"
        if answer is not None:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
            yield worker, answer


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed by SIGKILL: the machine may be short of memory, try fewer jobs"
    killed = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"its process {killed}"


def _resident(process: BaseProcess) -> float:
    """Return the resident memory of a process in GB; 0 where the system does not tell."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    return 0.0


def _serve(pipe: Connection, work: Work, entry: Entry) -> None:
    """Check one network, and send its row."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    warnings.simplefilter("ignore")  # of the networks' own code
    set_up("cpu", 1)
    try:
        answer: Row | str = work(entry.name, entry.family)
    except Exception as error:
        traceback.print_exc()
        answer = told(error)
    pipe.send(answer)


def _end_with_parent(pipe: Connection) -> None:
    # The parent sends nothing: the pipe is ready when the parent has gone.
    with suppress(OSError, EOFError):
        pipe.recv()
    os._exit(1)


def _context() -> Any:
    """How processes start: forked from one that has imported the heavy libraries, or afresh where forks are unsafe."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torchvision", "timm", "benchmark.studies.zoo.check"])
    return context
