import io
from dataclasses import replace

import pytest
from rich.console import Console
from toyjobs import toy

from benchmark.jobs import progress
from benchmark.jobs.account import Account
from benchmark.jobs.local import Event
from benchmark.jobs.progress import duration


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when it is told to."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def jobs(tmp_path):
    return [toy(tmp_path, value) for value in range(4)]


def plain():
    return Console(file=io.StringIO(), width=200)


def test_a_line_every_few_seconds_with_the_time_left(jobs, clock):
    console = plain()
    with Account("search", jobs, console) as account:
        account(Event("skipped", jobs[0]))
        clock.now += 30
        account(Event("finished", jobs[1], share=1.0))
        account(Event("finished", jobs[2], share=1.0))  # at once after the last line: silent
        clock.now += 30
        account(Event("failed", jobs[3], message="Traceback"))
    lines = console.file.getvalue().splitlines()
    # One job was there before; of the three others one took 30 s.
    assert lines == [
        "search: 2/4 jobs, about 1 min 0 s left",
        "search: 4/4 jobs, 1 failed, about 0 s left",
        "search: 2 jobs computed, 1 failed in 1 min 0 s",
    ]


def test_the_share_of_running_jobs_counts(jobs, clock):
    console = plain()
    with Account("search", jobs[:2], console) as account:
        clock.now += 30
        account(Event("progress", jobs[0], message="step", share=0.5))
    assert console.file.getvalue().splitlines() == ["search: 0/2 jobs, about 1 min 30 s left"]


def test_what_jobs_take_is_learned_from_those_that_differ_by_the_seed_only(tmp_path, clock):
    labels = ["short s0", "short s1", "long s0", "long s1"]
    quick, quick_too, slow, slow_too = (replace(toy(tmp_path, n), label=label) for n, label in enumerate(labels))
    console = plain()
    with Account("search", [quick, quick_too, slow, slow_too], console) as account:
        account(Event("started", quick))
        clock.now += 10
        account(Event("finished", quick, share=1.0))  # all the others take as long, as far as one knows
        account(Event("started", slow))
        clock.now += 20
        # So it takes 100 s: 80 of them are left, 100 for its like, and 10 for the short one.
        account(Event("progress", slow, share=0.2))
    assert console.file.getvalue().splitlines()[:2] == [
        "search: 1/4 jobs, about 30 s left",
        "search: 1/4 jobs, about 3 min 10 s left",
    ]


def test_nothing_to_compute_shows_nothing(jobs, clock):
    console = plain()
    with Account("search", jobs, console) as account:
        for job in jobs:
            account(Event("skipped", job))
        clock.now += 30
    assert console.file.getvalue() == ""


def test_a_terminal_has_a_bar(jobs):
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None, highlight=False)
    with Account("search", jobs, console) as account:
        account(Event("skipped", jobs[0]))
        account(Event("started", jobs[1]))
        account(Event("progress", jobs[1], message="epoch 3", share=7.0))
        account(Event("failed", jobs[1], message="Traceback"))
        account(Event("finished", jobs[2], share=1.0))
    shown = console.file.getvalue()
    assert "3/4, 1 failed" in shown
    assert "1 job computed, 1 failed" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (7384, "2 h 3 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
