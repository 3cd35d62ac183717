"""Changes written to an MLflow database. Importing this module imports MLflow.

MLflow's SQL store is used by the methods of its plug-in interface, without the client on top of it: the client cannot
remove a run for good, and `mlflow gc`, which can, also empties the trash of every other experiment.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mlflow.store.db_migrations
from alembic.script import ScriptDirectory
from mlflow.entities import Dataset, DatasetInput, ExperimentTag, InputTag, Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE, MAX_METRICS_PER_BATCH
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BenchError
from benchmark.tracking.changes import Changes, compare
from benchmark.tracking.record import CELL_KEY, CONTENT_HASH, PARENT, ExperimentRecord, RunRecord
from benchmark.tracking.stored import StoredExperiment, read_experiment, read_revision

Progress = Callable[[str, float], None]


def update(
    database: Path, artifacts: Path, wanted: list[ExperimentRecord], tags: list[dict[str, str]], progress: Progress
) -> list[Changes]:
    """Make the experiments of `database` hold exactly the runs `wanted` of them; returns what was changed in each.

    The database is made if there is none. A run is finished only when all of it is written, so a kill leaves
    runs that the next call replaces. Raises `BenchError` for a database of another MLflow, a full or a read-only disk.
    """
    with _explained(database), _store(database, artifacts) as store:
        done = []
        for experiment, marks in zip(wanted, tags, strict=True):
            stored = _experiment(store, database, experiment.name, artifacts / experiment.name)
            changes = compare(experiment, marks, stored)
            _apply(store, stored, changes, partial(progress, f"track {experiment.name}"))
            done.append(changes)
        return done


@contextmanager
def _explained(database: Path) -> Iterator[None]:
    """Turn what MLflow and the disk refuse into one line; MLflow logs a traceback of its own before it raises."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise BenchError(
            f"{database}: cannot be updated ({reason}); free some space or make the folder writable, "
            "or remove the file: `dapbench track` makes all of its runs again"
        ) from error
    finally:
        logger.setLevel(level)


@contextmanager
def _store(database: Path, artifacts: Path) -> Iterator[Any]:
    revision = read_revision(database)
    expected = ScriptDirectory(str(Path(mlflow.store.db_migrations.__file__).parent)).get_current_head()
    if revision is None:
        # A kill while the tables are made would leave a database that nothing can open.
        draft = database.with_name(f"{database.name}-new")
        draft.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (draft, database):
            # SQLite would apply the journal of a removed database to the new one of that name.
            leftover.with_name(f"{leftover.name}-journal").unlink(missing_ok=True)
        draft.write_bytes(b"")
        SqlAlchemyStore(f"sqlite:///{draft}", str(artifacts)).engine.dispose()
        draft.replace(database)
    elif revision != expected:
        raise BenchError(
            f"{database}: made by another version of MLflow (schema {revision or 'unknown'}, expected {expected}); run "
            f"`mlflow db upgrade sqlite:///{database.name}` there, or remove it: `dapbench track` makes its runs again"
        )
    store = SqlAlchemyStore(f"sqlite:///{database}", str(artifacts))
    # MLflow keeps one engine per address: connections from before may be to a file that was removed since.
    store.engine.dispose()
    event.listen(store.engine, "connect", _no_sync)
    try:
        yield store
    finally:
        event.remove(store.engine, "connect", _no_sync)
        store.engine.dispose()


def _no_sync(connection: Any, _record: Any) -> None:
    # Several commits per run: waiting for the disk each time doubles the time, and nothing here cannot be made again.
    connection.execute("PRAGMA synchronous = OFF")


def _experiment(store: Any, database: Path, name: str, location: Path) -> StoredExperiment:
    """Return the experiment `name`, active and with its artifacts at `location`."""
    stored = read_experiment(database, name)
    if stored is not None and stored.location != str(location):
        # MLflow keeps absolute paths: the folder was moved or copied, and artifacts would be written to the old place.
        if stored.foreign:
            raise BenchError(
                f"{database}: the experiment {name!r} keeps its artifacts in another folder and holds runs of others; "
                "rename it in the MLflow UI, then track again"
            )
        if stored.active:
            store.delete_experiment(stored.experiment_id)
        store._hard_delete_experiment(stored.experiment_id)
        stored = None
    if stored is None:
        store.create_experiment(name, str(location))
    elif not stored.active:
        store.restore_experiment(stored.experiment_id)
    found = read_experiment(database, name)
    assert found is not None
    return found


def _apply(store: Any, stored: StoredExperiment, changes: Changes, progress: Callable[[float], None]) -> None:
    ids = dict(changes.kept)
    for index, record in enumerate(changes.write):
        parent = ids[record.parent] if record.parent else None
        ids[record.key] = _write_run(store, stored.experiment_id, record, parent)
        progress((index + 1) / len(changes.write))
    for run_id, parent in changes.adopt.items():
        store.set_tag(run_id, RunTag(PARENT, ids[parent]))
    for run_id in changes.remove:
        store._hard_delete_run(run_id)
    present = {*ids.values(), *stored.foreign}
    for folder in Path(stored.location).glob("[0-9a-f]" * 32):
        if folder.name not in present:
            shutil.rmtree(folder)
    for key, value in changes.tags.items():
        store.set_experiment_tag(stored.experiment_id, ExperimentTag(key, value))


def _write_run(store: Any, experiment_id: str, record: RunRecord, parent: str | None) -> str:
    """Write one run and return its id. It counts as finished, for us too, only after the last call."""
    tags = {**record.tags, CELL_KEY: record.key, CONTENT_HASH: record.content_hash}
    if parent is not None:
        tags[PARENT] = parent
    run = store.create_run(experiment_id, "", record.started, [RunTag(*tag) for tag in tags.items()], record.name)
    run_id: str = run.info.run_id
    metrics = [Metric(key, value, record.ended, step) for key, value, step in record.metrics]
    params = [Param(*param) for param in record.params.items()]
    # The limit of a batch is on metrics and parameters together.
    store.log_batch(run_id, [], params, [])
    for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
        store.log_batch(run_id, metrics[start : start + MAX_METRICS_PER_BATCH], [], [])
    if record.datasets:
        store.log_inputs(run_id, [_input(*dataset) for dataset in record.datasets])
    for name, path in record.artifacts.items():
        target = Path(run.info.artifact_uri) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    store.update_run_info(run_id, RunStatus.FINISHED, record.ended, None)
    return run_id


def _input(context: str, label: str, manifest: dict[str, Any]) -> DatasetInput:
    profile = {key: manifest[key] for key in ("count", "shape", "classes", "licence", "citation") if key in manifest}
    dataset = Dataset(
        name=label,
        digest=manifest["digest"][:MAX_DATASET_DIGEST_SIZE],
        source_type="local",
        source=json.dumps({"source": manifest["source"], "digest": manifest["digest"]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
