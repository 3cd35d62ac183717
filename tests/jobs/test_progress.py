import io

import pytest
from rich.console import Console
from toycells import toy

from benchmark.jobs import progress
from benchmark.jobs.local import Event
from benchmark.jobs.progress import Display, _duration


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when it is told to."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def cells(tmp_path):
    return [toy(tmp_path, value) for value in range(4)]


def plain():
    return Console(file=io.StringIO(), width=200)


def test_a_line_every_few_seconds_with_the_time_left(cells, clock):
    console = plain()
    with Display("search", cells, console) as display:
        display(Event("skipped", cells[0]))
        clock.now += 30
        display(Event("finished", cells[1], share=1.0))
        display(Event("finished", cells[2], share=1.0))  # at once after the last line: silent
        clock.now += 30
        display(Event("failed", cells[3], message="Traceback"))
    lines = console.file.getvalue().splitlines()
    # One cell was there before; of the three others one took 30 s.
    assert lines == [
        "search: 2/4 cells, about 1 min 0 s left",
        "search: 4/4 cells, 1 failed, about 0 s left",
        "search: 2 cells computed, 1 failed in 1 min 0 s",
    ]


def test_the_share_of_running_cells_counts(cells, clock):
    console = plain()
    with Display("search", cells[:2], console) as display:
        clock.now += 30
        display(Event("progress", cells[0], message="step", share=0.5))
    assert console.file.getvalue().splitlines() == ["search: 0/2 cells, about 1 min 30 s left"]


def test_nothing_to_compute_shows_nothing(cells, clock):
    console = plain()
    with Display("search", cells, console) as display:
        for cell in cells:
            display(Event("skipped", cell))
        clock.now += 30
    assert console.file.getvalue() == ""


def test_a_terminal_has_a_bar(cells):
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None, highlight=False)
    with Display("search", cells, console) as display:
        display(Event("skipped", cells[0]))
        display(Event("started", cells[1]))
        display(Event("progress", cells[1], message="epoch 3", share=7.0))
        display(Event("failed", cells[1], message="Traceback"))
        display(Event("finished", cells[2], share=1.0))
    shown = console.file.getvalue()
    assert "3/4, 1 failed" in shown
    assert "1 cell computed, 1 failed" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (7384, "2 h 3 min")]
)
def test_durations(seconds, text):
    assert _duration(seconds) == text
