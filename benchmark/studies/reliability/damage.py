"""Damaged jobs in the store, and damaged prepared data."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmark.studies.reliability import suite
from benchmark.studies.reliability.suite import Finding

# Computes what is missing in a folder: the exit code, and what was said on stderr.
Run = Callable[[Path], tuple[int, str]]
Attack = Callable[[Path, random.Random], object]


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _file(job: Path, rng: random.Random) -> Path:
    """A file of the job other than its records; the record of one that has none."""
    files = sorted(path for path in job.iterdir() if path.suffix != ".json")
    return rng.choice(files) if files else job / "job.json"


def _text(name: str, text: str) -> Attack:
    return lambda job, _rng: (job / name).write_text(text)


ATTACKS: dict[str, Attack] = {
    "a flipped bit of the record": lambda job, rng: _flip(job / "job.json", rng),
    "a flipped bit of a file": lambda job, rng: _flip(_file(job, rng), rng),
    "a truncated file": lambda job, rng: _file(job, rng).write_bytes(b""),
    "a missing record": lambda job, _rng: (job / "job.json").unlink(),
    "a missing file": lambda job, rng: _file(job, rng).unlink(),
    "a record nested too deeply": _text("job.json", "[" * 50_000 + "]" * 50_000),
    "a record that is a list": _text("job.json", "[1, 2]"),
    "a record that is a number": _text("job.json", "1e999"),
    "a record of bytes": lambda job, rng: (job / "job.json").write_bytes(rng.randbytes(300)),
    "times that are a list": _text("timing.json", "[]"),
    "times without end": _text("timing.json", '{"started": 1, "seconds": 1e999, "peak_mb": 1}'),
    "times nested too deeply": _text("timing.json", "[" * 50_000),
}


def damaged_jobs(
    root: Path, expected: dict[str, bytes], tries: int, rng: random.Random, run: Run = suite.run
) -> Finding:
    """Damage a random finished job and run again: it is named, set aside, and computed again with the same result.

    `root` holds a finished run, and does again afterwards.
    """
    finding = Finding("damaged jobs", tries)
    for number in range(tries):
        name = list(ATTACKS)[number % len(ATTACKS)]
        # The large models' weights are read again only by searches that are missing: see `damaged_weights`.
        jobs = [path.parent for path in sorted(root.glob(".jobs/??/*/job.json")) if _kind(path.parent) != "pretrain"]
        with_files = [job for job in jobs if _kind(job) == "search"]
        job = rng.choice(with_files if name.endswith(" file") or name.endswith("of a file") else jobs)
        ATTACKS[name](job, rng)
        code, told = run(root)
        finding.faults += [f"{name}: {fault}" for fault in _faults(job.name, code, told)]
        finding.faults += [f"{name}: {fault}" for fault in suite.differences(root, expected)]
    return finding


def damaged_weights(root: Path, expected: dict[str, bytes], rng: random.Random, run: Run = suite.run) -> Finding:
    """Flip a bit of a large model's weights, and have everything that is made from them computed again."""
    finding = Finding("damaged weights", 1)
    jobs = sorted(root.glob(".jobs/??/*"))
    pretrained = [job for job in jobs if _kind(job) == "pretrain"]
    for job in jobs:
        if job not in pretrained:
            shutil.rmtree(job)
    chosen = rng.choice(pretrained)
    _flip(_file(chosen, rng), rng)
    finding.faults += [*_faults(chosen.name, *run(root)), *suite.differences(root, expected)]
    return finding


def _faults(key: str, code: int, told: str) -> list[str]:
    faults = [] if code == 0 else [f"exit code {code}: {told[-300:]}"]
    if key not in told or "set aside" not in told:
        faults.append(f"{key} is not named: {told[-300:]}")
    return [*faults, *(["a traceback"] if "Traceback" in told else [])]


def _kind(job: Path) -> str:
    return str(json.loads((job / "job.json").read_text())["kind"])


def damaged_data(
    root: Path, expected: dict[str, bytes], tries: int, rng: random.Random, run: Run = suite.run
) -> Finding:
    """Flip a bit of the prepared data, which is named, or prepared anew: nothing is computed of it."""
    finding = Finding("damaged data", tries)
    for _ in range(tries):
        shutil.rmtree(root / ".jobs")
        path = rng.choice(sorted(root.glob("data/**/images.npy")))
        content = path.read_bytes()
        position = rng.randrange(256, len(content))
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        code, told = run(root)
        if (code == 0 and suite.differences(root, expected)) or (code and "damaged" not in told):
            finding.faults.append(f"exit code {code} with a flipped bit in {path.name}: {told[-200:]}")
        path.write_bytes(content)
    return finding
