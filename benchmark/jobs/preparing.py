"""What a user sees while data sets are downloaded and read: a bar in a terminal, otherwise a line every few seconds."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from benchmark.jobs.bar import WithBar

LINE_SECONDS = 5.0


class Preparing(WithBar):
    """Shows `(message, share)` reports of work on data sets; use as a context manager and pass it as `progress`.

    Work that is over within `LINE_SECONDS` says nothing.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console)
        self.last = time.monotonic()
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, message: str, share: float) -> None:
        """Take note of a report, and show it when it is time."""
        if self.bar is not None:
            self._draw(message, share)
        elif time.monotonic() - self.last >= LINE_SECONDS:
            self.last = time.monotonic()
            if self.console.is_terminal:
                self.bar = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    TaskProgressColumn(),
                    TimeElapsedColumn(),
                    console=self.console,
                )
                self.bar.start()
                self._draw(message, share)
            else:
                self.console.print(f"{message}: {share:.0%}")

    def _draw(self, message: str, share: float) -> None:
        assert self.bar is not None
        if message not in self.tasks:
            self.tasks[message] = self.bar.add_task(message, total=1.0)
        self.bar.update(self.tasks[message], completed=share)
