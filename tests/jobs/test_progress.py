import io

import pytest
from rich.console import Console

from benchmark.jobs import progress
from benchmark.jobs.progress import Progress


def run(monkeypatch, console):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress(console, every=5.0, quiet=5.0) as report:
        for second, message, share in (
            (0.0, "read a", 1.0),  # over at once: nothing is shown
            (6.0, "read b", 0.25),
            (7.0, "read b", 0.5),
            (12.0, "read c", 0.1),
        ):
            now[0] = second
            report(message, share)
    return console.file.getvalue()


def test_without_a_terminal_a_line_every_few_seconds(monkeypatch):
    text = run(monkeypatch, Console(file=io.StringIO(), width=80))
    assert text.splitlines() == ["read b: 25%", "read c: 10%"]


def test_in_a_terminal_a_bar_per_piece_of_work_that_takes_time(monkeypatch):
    text = run(monkeypatch, Console(file=io.StringIO(), width=80, force_terminal=True))
    assert "read b" in text and "read c" in text and "50%" in text
    assert "read a" not in text


def test_a_bar_stops_with_an_error_too():
    shown = Progress(Console(file=io.StringIO(), force_terminal=True))
    with pytest.raises(KeyError), shown:
        shown("work", 0.5)
        bars = shown._bars
        assert bars.live.is_started
        raise KeyError
    assert not bars.live.is_started


def test_the_console_is_stderr_when_none_is_given(capsys):
    with Progress() as shown:
        shown.show("work", 0.5, "1/2", "half of it", at_once=True)
    assert capsys.readouterr() == ("", "half of it\n")
