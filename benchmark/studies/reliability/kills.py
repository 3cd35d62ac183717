"""Processes that end without a word, and several at once on one store."""

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from benchmark.studies.reliability import suite
from benchmark.studies.reliability.suite import Finding


def killed_runs(folder: Path, expected: dict[str, bytes], tries: int, seconds: float, rng: random.Random) -> Finding:
    """Kill a run at a random moment of its first `seconds`, again and again; the rest computes what is missing.

    No finished job may change, and in the end everything must be, byte for byte, what an undisturbed run leaves.
    """
    finding = Finding("runs killed", tries)
    root = suite.make(folder / "killed-runs")
    for _ in range(tries):
        before = suite.left(root)
        process = suite.start(root, "run", "--suite", "tiny")
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()
        after = suite.left(root)
        changed = [path for path, content in before.items() if ".jobs" in path and after.get(path) != content]
        finding.faults += [f"a kill changed the finished {path}" for path in changed]
        if not expected.keys() - after.keys():
            shutil.rmtree(root / ".jobs")  # complete: begin anew
    return _finished(finding, root, expected)


def killed_workers(folder: Path, expected: dict[str, bytes], tries: int, rng: random.Random) -> Finding:
    """Kill single worker processes; the run says so, and the next one computes what is missing."""
    finding = Finding("workers killed", tries)
    root = suite.make(folder / "killed-workers")
    for _ in range(tries):
        process = suite.start(root, "run", "--suite", "tiny")
        killed = False
        while process.poll() is None and not killed:
            workers = descendants(process.pid)
            if len(workers) > 2 and list(root.glob(".jobs/??/*")):
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(workers[2:]), signal.SIGKILL)
                    killed = True
            time.sleep(rng.uniform(0.01, 0.1))
        told = process.communicate()[1]
        if process.returncode not in (0, 1) or "Traceback" in told:
            finding.faults.append(f"exit code {process.returncode} after a worker was killed: {told[-200:]}")
        if not expected.keys() - suite.left(root).keys():
            shutil.rmtree(root / ".jobs")
    return _finished(finding, root, expected)


def together(folder: Path, expected: dict[str, bytes], tries: int) -> Finding:
    """Start two runs on one store at the same time."""
    finding = Finding("two runs on one store", tries)
    for number in range(tries):
        root = suite.make(folder / f"together-{number}")
        processes = [suite.start(root, "run", "--suite", "tiny") for _ in range(2)]
        for process in processes:
            told = process.communicate()[1]
            if process.returncode:
                finding.faults.append(f"exit code {process.returncode} beside another run: {told[-200:]}")
        finding.faults += suite.differences(root, expected)
    return finding


def descendants(pid: int) -> list[int]:
    """Return the processes below one (Linux), the oldest first."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
    found, waiting = [], [pid]
    while waiting:
        above = waiting.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found += below
        waiting += below
    return sorted(found)


def _finished(finding: Finding, root: Path, expected: dict[str, bytes]) -> Finding:
    code, told = suite.run(root)
    if code:
        finding.faults.append(f"exit code {code} of the run after the kills: {told[-200:]}")
    finding.faults += suite.differences(root, expected)
    return finding
