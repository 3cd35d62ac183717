"""A suite of seconds in a folder of its own, run as a user runs it, and what it leaves."""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import benchmark

PARAMS = """\
run: {suites: [tiny], methods: [dense, random]}
compute: {workers: 2, threads: 1, device: cpu}
methods: {dense: {}, random: {params: {allocation: scores}}}
suites:
  tiny:
    title: The smallest suite
    data:
      source: {name: digits, classes: [0, 1, 2]}
      targets: [{label: digits-3-5, name: digits, classes: [3, 4, 5]}]
    model: {name: "own:vgg16", width: 0.0625}
    grid: {granularities: [channel], budgets: [0.5, 0.1], seeds: [0, 1]}
    training: {steps: 2, batch: 32, lr: 0.05}
    transfer:
      weights: [fresh, inherit]
      shots: [1]
      draws: 2
      finetune: {steps: 2, batch: 15, lr: 0.05}
      scratch: {steps: 2, batch: 15, lr: 0.05}
    methods: {dense: {}, random: {}}
"""
# When a job ran, and in how much memory, is no result.
TIMES = ("timing.json", ".timings.json")
PROGRAM = "from benchmark.cli import main; main()"


@dataclass
class Finding:
    """What an attack met: how often it was tried, and in one line each what did not hold."""

    name: str
    tries: int = 0
    faults: list[str] = field(default_factory=list)


def make(root: Path) -> Path:
    """Make a folder with the suite's params.yaml, and return it."""
    root.mkdir(parents=True)
    (root / "params.yaml").write_text(PARAMS)
    return root


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start dapbench with these arguments in the folder, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(Path(benchmark.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(root: Path) -> tuple[int, str]:
    """Compute what is missing of the suite; returns the exit code and what was said on stderr."""
    return call(root, "run --suite tiny")


def call(root: Path, line: str, seconds: float = 600) -> tuple[int, str]:
    """Call dapbench with a command line in the folder; returns the exit code (-1: it hangs) and what stderr got."""
    process = start(root, *shlex.split(line))
    try:
        told = process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return -1, "hangs"
    return process.returncode, told


def left(root: Path) -> dict[str, bytes]:
    """Return the finished jobs and the result files by path, without times."""
    store = root / ".jobs"
    found = [*store.glob("??/*/*"), *(root / "reports" / "results").rglob("*.json")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found if not path.name.endswith(TIMES)}


def differences(root: Path, expected: dict[str, bytes]) -> list[str]:
    """Return in one line each what a folder has otherwise than expected."""
    found = left(root)
    told = [f"{path} is missing" for path in expected.keys() - found.keys()]
    told += [f"{path} is new" for path in found.keys() - expected.keys()]
    return told + [f"{path} differs" for path in expected.keys() & found.keys() if expected[path] != found[path]]
