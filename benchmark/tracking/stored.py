"""What an MLflow database holds of ours, read with sqlite3 alone.

Importing MLflow and opening its store takes seconds, and most calls find nothing to change.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.tracking.record import CELL_KEY, CONTENT_HASH, PARENT


@dataclass(frozen=True)
class StoredRun:
    """A run that track once wrote. Not `finished`: the write was interrupted, or somebody deleted the run by hand."""

    run_id: str
    key: str
    content_hash: str
    parent_id: str | None
    finished: bool


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment, its runs that carry a cell key, and the ids of the runs that do not (`foreign`)."""

    experiment_id: str
    location: str
    active: bool
    tags: dict[str, str]
    runs: tuple[StoredRun, ...]
    foreign: tuple[str, ...]


RUNS = """
SELECT r.run_uuid, r.status = 'FINISHED' AND r.lifecycle_stage = 'active', key.value, hash.value, parent.value
FROM runs r
LEFT JOIN tags key ON key.run_uuid = r.run_uuid AND key.key = ?
LEFT JOIN tags hash ON hash.run_uuid = r.run_uuid AND hash.key = ?
LEFT JOIN tags parent ON parent.run_uuid = r.run_uuid AND parent.key = ?
WHERE r.experiment_id = ? ORDER BY r.run_uuid
"""


def read_revision(database: Path) -> str | None:
    """Return the schema revision of an MLflow database; None when there is no file, or an empty one.

    Raises `BenchError` when the file is something else.
    """
    with _open(database) as connection:
        if connection is None:
            return None
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        if not {"alembic_version", "experiments", "experiment_tags", "runs", "tags"} <= tables:
            raise BenchError(f"{database}: not an MLflow database; move it away or name another with --uri")
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else ""


def read_experiment(database: Path, name: str) -> StoredExperiment | None:
    """Return the experiment `name` of an MLflow database, None when there is none. Errors as `read_revision`."""
    if read_revision(database) is None:
        return None
    with _open(database) as connection:
        assert connection is not None
        found = "SELECT experiment_id, artifact_location, lifecycle_stage FROM experiments WHERE name = ?"
        row = connection.execute(found, (name,)).fetchone()
        if row is None:
            return None
        identifier, location, stage = row
        tags = connection.execute("SELECT key, value FROM experiment_tags WHERE experiment_id = ?", (identifier,))
        experiment_tags = dict(tags.fetchall())
        records: list[Any] = connection.execute(RUNS, (CELL_KEY, CONTENT_HASH, PARENT, identifier)).fetchall()
    runs = [
        StoredRun(run_id, key, content_hash or "", parent, bool(finished))
        for run_id, finished, key, content_hash, parent in records
        if key is not None
    ]
    foreign = tuple(run_id for run_id, _, key, *_ in records if key is None)
    return StoredExperiment(str(identifier), location, stage == "active", experiment_tags, tuple(runs), foreign)


@contextmanager
def _open(database: Path) -> Iterator[sqlite3.Connection | None]:
    if not database.exists():
        yield None
        return
    try:
        # Not read-only: after a kill SQLite has to roll back an unfinished write before it can read.
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True, timeout=20)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise BenchError(
            f"{database}: not readable as an MLflow database ({error}); move it away and run `dapbench track` again"
        ) from error
