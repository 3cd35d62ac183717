"""What a job may take, and what becomes of one that takes more."""

import os
from pathlib import Path

import pytest
from toyjobs import computed, toy

from benchmark.jobs import local
from benchmark.jobs.limits import Limits
from benchmark.jobs.local import Event, run_jobs
from benchmark.jobs.store import Context, Store


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "marks").mkdir()
    return Context(Store(tmp_path / "store"), tmp_path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The values of the jobs that a process was started for."""
    values: list[int] = []
    start = local._Pool._start

    def counted(pool: local._Pool, method: object, job: local.Job) -> None:
        values.append(job.spec.value)
        start(pool, method, job)

    monkeypatch.setattr(local._Pool, "_start", counted)
    return values


def test_the_limit_that_is_exceeded_is_named() -> None:
    pid = os.getpid()
    assert Limits(seconds=2, gigabytes=1000).exceeded(pid, 2.0) is None
    assert Limits(seconds=2, gigabytes=1000).exceeded(pid, 2.1) == "took longer than 2 s"
    # This process holds torch: tens of megabytes at least.
    assert Limits(seconds=2, gigabytes=0.01).exceeded(pid, 1.0) == "needed more than 0.01 GB of memory"


def test_a_job_that_takes_too_long_fails_and_the_others_go_on(context: Context) -> None:
    marks = context.data_root / "marks"
    jobs = [toy(marks, 1, sleep=100.0), toy(marks, 2), toy(marks, 3)]
    failures = run_jobs(jobs, context, limits=Limits(seconds=4))
    assert [(failure.job.label, failure.reason) for failure in failures] == [("toy 1", "took longer than 4 s")]
    assert computed(marks) == [2, 3]
    assert [context.store.has(job.key) for job in jobs] == [False, True, True]


def test_with_limits_every_job_has_a_process_of_its_own(context: Context, started: list[int]) -> None:
    jobs = [toy(context.data_root / "marks", value) for value in range(3)]
    assert run_jobs(jobs, context, limits=Limits()) == []
    assert started == [0, 1, 2]


def test_without_limits_a_worker_takes_one_job_after_the_other(context: Context, started: list[int]) -> None:
    jobs = [toy(context.data_root / "marks", value) for value in range(3)]
    assert run_jobs(jobs, context) == []
    assert started == [0]


@pytest.mark.parametrize("limits", [None, Limits()])
def test_of_the_jobs_that_are_alone_one_runs_at_a_time_beside_others(context: Context, limits: Limits | None) -> None:
    running: set[int] = set()
    together: list[set[int]] = []

    def watch(event: Event) -> None:
        value = event.job.spec.value
        if event.kind == "started":
            running.add(value)
            together.append(set(running))
        elif event.kind == "finished":
            running.discard(value)

    jobs = [toy(context.data_root / "marks", value, sleep=0.2) for value in range(6)]
    assert run_jobs(jobs, context, 3, on_event=watch, limits=limits, alone=lambda job: job.spec.value < 3) == []
    assert max(len(values) for values in together) > 1
    assert all(len(values & {0, 1, 2}) <= 1 for values in together)
    assert computed(context.data_root / "marks") == list(range(6))
