"""Stages that one warm process serves are those of a process of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.pipeline import warm

PROGRAM = str(Path(sys.executable).with_name("dapbench"))


def stage(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "stage", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | more, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.skipif(not warm.SUPPORTED, reason="nobody serves here")
def test_a_served_stage_writes_says_and_ends_as_one_alone(tiny_params: Path) -> None:
    folder = tiny_params.parent
    tries = [
        ("code", "--suite", "tiny"),
        ("nonsense",),
        ("code", "--suite", "tiny", "--params", "none.yaml"),
        ("--help",),
    ]
    alone = [stage(folder, *arguments) for arguments in tries]
    files = {path.name: path.read_bytes() for path in (folder / "reports").rglob("*.json")}
    for path in (folder / "reports").rglob("*.json"):
        path.unlink()
    with warm.warm_stages():
        address = os.environ[warm.ADDRESS]
        while not Path(address).exists():  # who comes before it is there runs by itself
            time.sleep(0.05)
        served = [stage(folder, *arguments) for arguments in tries]
        assert warm.ask(["stage", "nonsense"]) == 2
    assert warm.ADDRESS not in os.environ and not Path(address).exists()
    assert [(one.returncode, one.stdout, one.stderr) for one in served] == [
        (one.returncode, one.stdout, one.stderr) for one in alone
    ]
    assert [one.returncode for one in served] == [0, 2, 2, 0] and "unknown stage" in served[1].stderr
    assert {path.name: path.read_bytes() for path in (folder / "reports").rglob("*.json")} == files != {}


def test_a_stage_that_nobody_serves_runs_by_itself(tiny_params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    assert warm.ask(["stage", "nonsense"]) is None
    monkeypatch.setenv(warm.ADDRESS, str(tiny_params.parent / "gone"))
    assert warm.ask(["stage", "nonsense"]) is None
    assert stage(tiny_params.parent, "nonsense").returncode == 2
