"""What a user sees while something long runs: a bar in a terminal, otherwise a line every few seconds."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

QUIET = 2.0  # seconds before a call from Python shows anything


class Progress:
    """A context that shows how far the tasks within it are; `console` is stderr by default.

    Called with a message and the share done in [0, 1], it shows them as a task of that name. Without a terminal there
    is at most a line every `every` seconds; nothing at all is shown in the first `quiet` seconds.
    """

    def __init__(self, console: Console | None = None, every: float = 10.0, quiet: float = 0.0) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)
        self._every = every
        self._started = self._last = time.monotonic()
        self._quiet = quiet
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, message: str, share: float) -> None:
        """Show that `share` of a piece of work is done."""
        self.show(message, share, f"{share:.0%}", f"{message}: {share:.0%}")

    def steps(self, message: str, count: int) -> Callable[[int, float], None]:
        """Return what a training of `count` steps calls after each of them, with its number and its loss."""
        return lambda step, _loss: self(message, (step + 1) / count)

    def show(self, task: str, share: float, count: str, line: str, now: str = "", at_once: bool = False) -> None:
        """Show a task: in a terminal its bar with `count` and what runs `now`, otherwise `line`.

        `at_once`: the line does not wait for its turn.
        """
        if time.monotonic() - self._started < self._quiet:
            return
        if self.console.is_terminal:
            self._draw(task, share, count, now)
        elif at_once or time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self.console.print(line, soft_wrap=True, markup=False)

    def _draw(self, task: str, share: float, count: str, now: str) -> None:
        if self._bars is None:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[now]}"),
                console=self.console,
            )
            self._bars.start()
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=1.0, count="", now="")
        self._bars.update(self._tasks[task], completed=share, count=count, now=now)


def duration(seconds: float) -> str:
    """Return a time in words: "2 h 3 min", "1 min 1 s", "0 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
