import io

from rich.console import Console

from benchmark.jobs import preparing
from benchmark.jobs.preparing import Preparing


def run(monkeypatch, console):
    now = [0.0]
    monkeypatch.setattr(preparing.time, "monotonic", lambda: now[0])
    with Preparing(console) as report:
        for second, message, share in (
            (0.0, "read a", 1.0),  # over at once: nothing to tell
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
