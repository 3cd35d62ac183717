"""What has to happen so that an experiment holds exactly the runs it should."""

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.tracking.record import ExperimentRecord, RunRecord
from benchmark.tracking.stored import StoredExperiment, StoredRun


@dataclass(frozen=True)
class Changes:
    """The runs to `write`, then the parents to correct (`adopt`: run id to parent key), then the run ids to `remove`.

    `kept` maps the keys of the runs that stay to their ids; `tags` are those to set on the experiment.
    """

    write: tuple[RunRecord, ...] = ()
    adopt: dict[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    kept: dict[str, str] = field(default_factory=dict)
    replaced: int = 0
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def none(self) -> bool:
        """Whether the experiment is as it should be."""
        return not (self.write or self.adopt or self.remove or self.tags)


def compare(wanted: ExperimentRecord, tags: dict[str, str], stored: StoredExperiment | None) -> Changes:
    """Compare the runs by key, then by content; `tags` are those that the experiment should carry, among others."""
    if stored is None:
        return Changes(write=wanted.runs, tags=tags)
    records = {run.key: run for run in wanted.runs}
    current = {run.key: run for run in stored.runs if run.key in records and _same(run, records[run.key], stored)}
    kept = {key: run.run_id for key, run in current.items()}
    parents = {key: record.parent for key, record in records.items() if key in kept and record.parent is not None}
    write = tuple(record for key, record in records.items() if key not in kept)
    before = {run.key for run in stored.runs}
    return Changes(
        write=write,
        adopt={kept[key]: parent for key, parent in parents.items() if current[key].parent_id != kept.get(parent)},
        remove=tuple(run.run_id for run in stored.runs if run.run_id != kept.get(run.key)),
        kept=kept,
        replaced=sum(record.key in before for record in write),
        tags={key: value for key, value in tags.items() if stored.tags.get(key) != value},
    )


def _same(run: StoredRun, record: RunRecord, stored: StoredExperiment) -> bool:
    folder = Path(stored.location) / run.run_id / "artifacts"
    present = all((folder / name).is_file() for name in record.artifacts)
    return run.finished and present and run.content_hash == record.content_hash
