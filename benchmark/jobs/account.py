"""How far a list of jobs is, from what happens to them."""

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console

from benchmark.jobs.job import Job, Spec
from benchmark.jobs.local import Event
from benchmark.jobs.progress import Progress, duration


class Account:
    """Takes the events of one `run_jobs` call and shows them; use as a context manager and pass it as `on_event`.

    The remaining time is estimated from how long jobs take that differ by their seed only, finished or under way, and
    from hints where there are none yet. Nothing is shown when no job is missing. Jobs that are not known at first are
    counted from the event on that they wait.
    """

    def __init__(self, title: str, jobs: Sequence[Job[Spec]], console: Console | None = None) -> None:
        self.title = title
        self.hints = {job.key: job.hint for job in jobs}
        self.kinds = {job.key: job.unseeded or job.key for job in jobs}
        self.open = set(self.hints)
        self.shares: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        self.taken: dict[str, float] = {}
        self.skipped: set[str] = set()
        self.failed = 0
        self.started = time.monotonic()
        self.progress = Progress(console)

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.__exit__(None, None, None)
        computed = len(self.hints) - len(self.open) - len(self.skipped)
        if computed or self.failed:
            seconds = duration(time.monotonic() - self.started)
            count = computed - self.failed
            told = f"{count} job{'' if count == 1 else 's'} computed{self._failures()} in {seconds}"
            self.progress.console.print(f"{self.title}: {told}")

    def __call__(self, event: Event) -> None:
        """Take note of one event, and show it."""
        key = event.job.key
        if key not in self.hints:
            self.hints[key], self.kinds[key] = event.job.hint, event.job.unseeded or key
            self.open.add(key)
        if event.kind == "skipped":
            self.skipped.add(key)
            self.open.discard(key)
        if event.kind in ("skipped", "waiting"):
            return
        now = time.monotonic()
        if event.kind == "started":
            self.begun[key] = now
        if event.kind in ("finished", "failed"):
            self.open.discard(key)
            self.shares.pop(key, None)
            self.failed += event.kind == "failed"
            if key in self.begun:
                self.taken[key] = now - self.begun.pop(key)
        else:
            self.shares[key] = min(1.0, event.share)
        done, total = self._work()
        count = f"{len(self.hints) - len(self.open)}/{len(self.hints)}"
        left = ""
        if done > 0:
            left = f", about {duration((now - self.started) * (total - done) / done)} left"
        line = f"{self.title}: {count} jobs{self._failures()}{left}"
        running = event.job.label + (f": {event.message}" if event.kind == "progress" else "")
        self.progress.show(self.title, done / total if total else 1.0, count + self._failures(), line, running)

    def _failures(self) -> str:
        return f", {self.failed} failed" if self.failed else ""

    def _work(self) -> tuple[float, float]:
        """Work done and work in all, without what was there before, as the seconds that it takes one worker."""
        expected = self._durations()
        total = sum(expected.values())
        left = sum(expected[key] * (1 - self.shares.get(key, 0.0)) for key in self.open)
        return total - left, total

    def _durations(self) -> dict[str, float]:
        """What every job takes: as it did, or as those like it do; by its hint where there is none."""
        now = time.monotonic()
        known = dict(self.taken)
        for key, begun in self.begun.items():
            if share := self.shares.get(key):
                known[key] = (now - begun) / share
        alike: dict[str, list[float]] = {}
        for key, seconds in known.items():
            alike.setdefault(self.kinds[key], []).append(seconds)
        per_hint = sum(known.values()) / hints if (hints := sum(self.hints[key] for key in known)) else 1.0
        means = {kind: sum(some) / len(some) for kind, some in alike.items()}
        return {
            key: known.get(key, means.get(self.kinds[key], per_hint * hint))
            for key, hint in self.hints.items()
            if key not in self.skipped
        }
