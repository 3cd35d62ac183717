"""What a user sees while jobs run: a bar in a terminal, otherwise a line every few seconds."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmark.jobs.bar import WithBar
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.local import Event

LINE_SECONDS = 10.0


class Display(WithBar):
    """Shows the events of one `run_jobs` call; use as a context manager and pass it as `on_event`.

    The remaining time is estimated from the jobs' hints. Nothing is shown when no job is missing.
    """

    def __init__(self, title: str, jobs: Sequence[Job[Spec]], console: Console | None = None) -> None:
        super().__init__(console)
        self.title = title
        self.hints = {job.key: job.hint for job in jobs}
        self.open = set(self.hints)
        self.shares: dict[str, float] = {}
        self.skipped: set[str] = set()
        self.failed = 0
        self.started = time.monotonic()
        self.last_line = self.started

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        computed = len(self.hints) - len(self.open) - len(self.skipped)
        if computed or self.failed:
            seconds = time.monotonic() - self.started
            failed = f", {self.failed} failed" if self.failed else ""
            self.console.print(
                f"{self.title}: {_jobs(computed - self.failed)} computed{failed} in {_duration(seconds)}"
            )

    def __call__(self, event: Event) -> None:
        """Take note of one event, and show it when it is time."""
        key = event.job.key
        if event.kind == "skipped":
            self.skipped.add(key)
            self.open.discard(key)
            return
        if event.kind in ("finished", "failed"):
            self.open.discard(key)
            self.shares.pop(key, None)
            self.failed += event.kind == "failed"
        else:
            self.shares[key] = min(1.0, event.share)
        if self.console.is_terminal:
            self._draw(event)
        elif time.monotonic() - self.last_line >= LINE_SECONDS:
            self.last_line = time.monotonic()
            self.console.print(self._line())

    def _progress(self) -> tuple[float, float]:
        """Work done and work in all, in hints, without what was there before."""
        total = sum(hint for key, hint in self.hints.items() if key not in self.skipped)
        left = sum(self.hints[key] * (1 - self.shares.get(key, 0.0)) for key in self.open)
        return total - left, total

    def _line(self) -> str:
        done, total = self._progress()
        elapsed = time.monotonic() - self.started
        remaining = f", about {_duration(elapsed * (total - done) / done)} left" if done > 0 else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.title}: {len(self.hints) - len(self.open)}/{len(self.hints)} jobs{failed}{remaining}"

    def _draw(self, event: Event) -> None:
        if self.bar is None:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[now]}"),
                console=self.console,
            )
            self.bar.start()
            self.bar.add_task(self.title, total=1.0, count="", now="")
        done, total = self._progress()
        count = f"{len(self.hints) - len(self.open)}/{len(self.hints)}" + (
            f", {self.failed} failed" if self.failed else ""
        )
        now = event.job.label + (f": {event.message}" if event.kind == "progress" else "")
        self.bar.update(self.bar.task_ids[0], completed=done / total, count=count, now=now)


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
