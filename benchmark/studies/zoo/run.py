"""Check networks as jobs, with limits on time and memory; what is finished is kept."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from benchmark.jobs.job import Job
from benchmark.jobs.limits import Limits
from benchmark.jobs.local import Event, run_jobs
from benchmark.jobs.store import Context, Store
from benchmark.pipeline.mending import set_aside_damaged
from benchmark.studies.zoo.check import Row, refused
from benchmark.studies.zoo.choices import Entry
from benchmark.studies.zoo.job import Checked, CheckSpec
from benchmark.studies.zoo.report import versions


def run(
    entries: Sequence[Entry],
    folder: Path,
    workers: int,
    limits: Limits,
    on_row: Callable[[Row, bool], None] = lambda _row, _fresh: None,
    kind: type[CheckSpec] = CheckSpec,
) -> list[Row]:
    """Return the rows of all `entries`, in their order; only those that `folder` lacks for this code are computed.

    `on_row` receives every row, and whether it is fresh. A network that exceeds a limit, or whose process dies, is
    refused with that reason, and checked again next time. An interrupt ends the processes at once.
    """
    store = Store(folder)
    entry_of, jobs = {}, []
    for entry in entries:
        spec = kind(name=entry.name, family=entry.family, versions=versions())
        job = Job(spec, label=entry.name, hint=2.0 if entry.large else 1.0)  # the large ones take longest
        entry_of[job.key] = entry
        jobs.append(job)
    begun: dict[str, float] = {}
    rows: dict[str, Row] = {}

    def on_event(event: Event) -> None:
        key = event.job.key
        if event.kind == "started":
            begun[key] = time.monotonic()
        elif event.kind == "failed":
            seconds = round(time.monotonic() - begun[key], 1)
            entry = entry_of[key]
            rows[key] = Row(**{**refused(entry.name, entry.family, event.message), "seconds": seconds})
            on_row(rows[key], True)
        elif event.kind in ("finished", "skipped"):
            rows[key] = cast(Row, store.get(key).read(Checked).row)
            on_row(rows[key], event.kind == "finished")

    for key in entry_of:
        set_aside_damaged(store, key)
    run_jobs(
        jobs,
        Context(store, folder),
        workers,
        on_event=on_event,
        limits=limits,
        alone=lambda job: entry_of[job.key].large,
    )
    return [rows[job.key] for job in jobs]
