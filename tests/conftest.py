"""What several tests share: a suite so small that all of it runs in seconds."""

from pathlib import Path
from typing import Any

import pytest
from tiny import TINY

from benchmark.jobs.job import Job
from benchmark.jobs.local import Failure
from benchmark.jobs.store import Context
from benchmark.pipeline import stages


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The text of a params.yaml with the suite `tiny`."""
    return TINY


@pytest.fixture
def tiny_params(tmp_path: Path) -> Path:
    """The path of a params.yaml with the suite `tiny`, alone in a fresh folder."""
    path = tmp_path / "params.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Every job that would have to be computed fails, without a worker; they are collected in the list."""
    asked: list[Job] = []

    def run_jobs(jobs: list[Job], context: Context, *_arguments: Any, **_options: Any) -> list[Failure]:
        missing = [job for job in jobs if not context.store.has(job.key)]
        asked.extend(missing)
        return [Failure(job, "Traceback (most recent call last):\nValueError: no luck") for job in missing]

    monkeypatch.setattr(stages, "run_jobs", run_jobs)
    return asked
