"""Experiments written to an MLflow database by its public client. Importing this module imports MLflow."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BenchError
from benchmark.tracking import record

GROUP, CONTENT, CURRENT = "group", "content_hash", "current"
PARENT = "mlflow.parentRunId"
OURS = f"tags.`{GROUP}` != ''"
# MLflow's own limits.
BATCH, DIGEST, PAGE = 1000, 36, 1000


@dataclass
class Done:
    """How many runs were written for the first time, written in place of others, left, and kept of other parameters."""

    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    kept: int = 0


def update(database: Path, artifacts: Path, wanted: list[record.Experiment]) -> tuple[Done, dict[str, str]]:
    """Make the experiments of `database` show the groups `wanted`; returns what was done, and the experiments' ids.

    A group that is there with equal content stays. One of the same key and other content is written anew, then the old
    one is deleted (MLflow keeps deleted runs until `mlflow gc`). A group of another key stays, not `current`. Runs and
    experiments of others are not touched. A parent gets its content hash last: what a kill leaves unfinished is
    written again. The database is made if there is none. Raises `BenchError` for one that is no MLflow database or of
    another version, and for a full or read-only disk.
    """
    done, ids = Done(), {}
    with _explained(database), _client(database) as client:
        for experiment in wanted:
            ids[experiment.name] = _experiment(client, database, experiment, artifacts / experiment.name)
            _update(client, ids[experiment.name], experiment, done)
    return done, ids


def _update(client: MlflowClient, experiment_id: str, wanted: record.Experiment, done: Done) -> None:
    stored: dict[str, list[Run]] = {}
    for run in _runs(client, experiment_id, OURS):
        stored.setdefault(run.data.tags[GROUP], []).append(run)
    for group in wanted.groups:
        before = stored.pop(group.key, [])
        kept = _complete(group, before)
        if kept:
            done.unchanged += len(kept)
            _mark(client, kept, "true")
        else:
            _write(client, experiment_id, group)
            done.created += 0 if before else group.runs
            done.replaced += group.runs if before else 0
        for run in before:
            if run not in kept:
                client.delete_run(run.info.run_id)
    for others in stored.values():
        _mark(client, others, "false")
        done.kept += len(others)
    for key, value in wanted.tags.items():
        client.set_experiment_tag(experiment_id, key, value)


def _runs(client: MlflowClient, experiment_id: str, which: str) -> list[Run]:
    found: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment_id], which, max_results=PAGE, page_token=token)
        found += page
        token = page.token or None
    return found


def _complete(group: record.Group, stored: list[Run]) -> list[Run]:
    """Return the runs that show the group, all of it: none when a kill or a hand left it incomplete."""
    for parent in stored:
        if parent.data.tags.get(CONTENT) == group.content:
            runs = [parent, *(run for run in stored if run.data.tags.get(PARENT) == parent.info.run_id)]
            folder = Path(parent.info.artifact_uri)
            whole = len(runs) == group.runs and all((folder / name).is_file() for name in group.parent.artifacts)
            if whole and all(run.info.status == "FINISHED" for run in runs):
                return runs
    return []


def _mark(client: MlflowClient, runs: list[Run], current: str) -> None:
    for run in runs:
        if run.data.tags.get(CURRENT) != current:
            client.set_tag(run.info.run_id, CURRENT, current)


def _write(client: MlflowClient, experiment_id: str, group: record.Group) -> None:
    marks = {GROUP: group.key, CURRENT: "true"}
    parent = _start(client, experiment_id, group.parent, marks)
    for child in group.children:
        _finish(client, _start(client, experiment_id, child, {**marks, PARENT: parent}), child)
    for name, content in group.parent.artifacts.items():
        folder = PurePosixPath(name).parent
        if isinstance(content, Path):
            client.log_artifact(parent, str(content), None if folder == PurePosixPath() else str(folder))
        else:
            client.log_text(parent, content, name)
    if group.parent.datasets:
        client.log_inputs(parent, [_input(*dataset) for dataset in group.parent.datasets])
    _finish(client, parent, group.parent)
    client.set_tag(parent, CONTENT, group.content)


def _start(client: MlflowClient, experiment_id: str, run: record.Run, marks: dict[str, str]) -> str:
    created = client.create_run(experiment_id, run.started, {**run.tags, **marks}, run.name)
    return str(created.info.run_id)


def _finish(client: MlflowClient, run_id: str, run: record.Run) -> None:
    metrics = [Metric(key, value, run.ended, step) for key, value, step in run.metrics]
    params = [Param(*param) for param in run.params.items()]
    # The limit is on metrics and parameters together.
    first = BATCH - len(params)
    client.log_batch(run_id, metrics[:first], params)
    for start in range(first, len(metrics), BATCH):
        client.log_batch(run_id, metrics[start : start + BATCH])
    client.set_terminated(run_id, "FINISHED", run.ended)


def _input(context: str, label: str, manifest: dict[str, Any]) -> DatasetInput:
    profile = {key: manifest[key] for key in ("count", "shape", "classes", "licence", "citation") if key in manifest}
    dataset = Dataset(
        name=label,
        digest=manifest["digest"][:DIGEST],
        source_type="local",
        source=json.dumps({"source": manifest["source"], "digest": manifest["digest"]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def _experiment(client: MlflowClient, database: Path, wanted: record.Experiment, location: Path) -> str:
    """Return the id of the experiment, active and with its artifacts at `location`."""
    stored = client.get_experiment_by_name(wanted.name)
    if stored is not None and stored.artifact_location != str(location):
        # MLflow keeps absolute paths: the folder was moved or copied, and artifacts would be written to the old place.
        _set_aside(client, database, stored)
        stored = None
    if stored is None:
        return str(client.create_experiment(wanted.name, str(location)))
    if stored.lifecycle_stage != "active":
        client.restore_experiment(stored.experiment_id)
    return str(stored.experiment_id)


def _set_aside(client: MlflowClient, database: Path, stored: Experiment) -> None:
    """Free an experiment's name, unless it holds runs of others."""
    if stored.lifecycle_stage != "active":
        client.restore_experiment(stored.experiment_id)
    every = len(_runs(client, stored.experiment_id, ""))
    if every > len(_runs(client, stored.experiment_id, OURS)):
        raise BenchError(
            f"{database}: the experiment {stored.name!r} keeps its artifacts in another folder and holds runs of "
            "others; rename it in the MLflow UI, then track again"
        )
    client.rename_experiment(stored.experiment_id, f"{stored.name} (moved, {stored.experiment_id})")
    client.delete_experiment(stored.experiment_id)


@contextmanager
def _explained(database: Path) -> Iterator[None]:
    """Turn what MLflow and the disk refuse into one line; MLflow logs a traceback of its own before it raises."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise BenchError(
            f"{database}: cannot be updated ({reason}); if it is of another version of MLflow, run `mlflow db upgrade "
            f"sqlite:///{database.name}` there, else free some space or make the folder writable. The file can also be "
            "removed: `dapbench track` makes its runs again"
        ) from error
    finally:
        logger.setLevel(level)


@contextmanager
def _client(database: Path) -> Iterator[MlflowClient]:
    """Open the database, without waiting for the disk after each of the many commits: all can be made again."""
    engines: set[Engine] = set()

    def no_sync(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    def opened(connection: Connection) -> None:
        engines.add(connection.engine)

    event.listen(Engine, "connect", no_sync)
    event.listen(Engine, "engine_connect", opened)
    try:
        if not _is_made(database):
            # A kill while the tables are made would leave a database that nothing can open.
            # MLflow remembers which addresses it has given tables, so every draft has a name of its own.
            draft = database.with_name(f"{database.name}-new-{uuid4().hex}")
            draft.parent.mkdir(parents=True, exist_ok=True)
            for leftover in draft.parent.glob(f"{database.name}-new-*"):
                leftover.unlink(missing_ok=True)
            # SQLite would apply the journal of a removed database to the new one of that name.
            database.with_name(f"{database.name}-journal").unlink(missing_ok=True)
            # The client opens a database at its first call.
            MlflowClient(f"sqlite:///{draft}").search_experiments(max_results=1)
            draft.replace(database)
        yield MlflowClient(f"sqlite:///{database}")
    finally:
        event.remove(Engine, "connect", no_sync)
        event.remove(Engine, "engine_connect", opened)
        # MLflow keeps its engines: their connections would still be to this file after it was removed.
        for engine in engines:
            engine.dispose()


def _is_made(database: Path) -> bool:
    """Whether the file is there with MLflow's tables, of any version; `BenchError` for a file of something else."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(database.as_uri() + "?mode=rw", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    # MLflow would put its tables beside those of another program.
    if tables and not {"alembic_version", "experiments", "runs"} <= tables:
        raise BenchError(f"{database}: not an MLflow database; move it away or name another with --uri")
    return bool(tables)
