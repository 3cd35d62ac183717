"""MLflow as a view of the result files: `track` makes its runs equal to them.

Nothing logs to MLflow while cells run: a result that comes from the cache would be lost, a repeated one logged twice,
and several processes that make one SQLite store spoil it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.tracking.changes import Changes, compare
from benchmark.tracking.projection import project
from benchmark.tracking.record import ExperimentRecord
from benchmark.tracking.stored import read_experiment

__all__ = ["TrackSummary", "track"]
PREFIX = "sqlite:///"


@dataclass(frozen=True)
class TrackSummary:
    """How many runs were written anew, written again, removed, and left as they were."""

    created: int = 0
    replaced: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __str__(self) -> str:
        return f"{self.created} created, {self.replaced} replaced, {self.deleted} deleted, {self.unchanged} unchanged"


def track(
    params: Params,
    root: Path = Path(),
    uri: str = "sqlite:///mlflow.db",
    progress: Callable[[str, float], None] = lambda _message, _share: None,
) -> TrackSummary:
    """Make the MLflow database `uri` show reports/results below `root`, one experiment per suite of `params`.

    Runs are matched by their tag `cell_key` and compared by `content_hash`: equal ones stay untouched, others are
    written again, those without a result are removed for good. Runs without the tag are never touched. A relative path
    in `uri` is below `root`, artifacts go to mlartifacts/ there. Suites without results are passed over unless
    run.suites selects them. `progress` takes a message and the share done.

    Raises `BenchError` for a corrupt result file, a file that is not an MLflow database or has the schema of another
    MLflow, while another process tracks, and where MLflow is not installed.
    """
    database, artifacts = _database(uri, root), (root / "mlartifacts").resolve()
    experiments = _projections(params, root)
    tags = [{"mlflow.note.content": e.note, "mlflow_version": _mlflow_version()} for e in experiments]
    planned = [_planned(database, artifacts, *pair) for pair in zip(experiments, tags, strict=True)]
    if all(changes is not None and changes.none for changes in planned):
        return TrackSummary(unchanged=sum(len(experiment.runs) for experiment in experiments))
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from benchmark.tracking.write import update

    with _alone(artifacts):
        done = update(database, artifacts, experiments, tags, progress)
    written = sum(len(changes.write) for changes in done)
    replaced = sum(changes.replaced for changes in done)
    return TrackSummary(
        created=written - replaced,
        replaced=replaced,
        deleted=sum(len(changes.remove) for changes in done) - replaced,
        unchanged=sum(len(changes.kept) for changes in done),
    )


def _database(uri: str, root: Path) -> Path:
    name = uri.removeprefix(PREFIX)
    if not uri.startswith(PREFIX) or not name or name == ":memory:" or "?" in name:
        raise BenchError(f"--uri: expected sqlite:///PATH (got {uri!r}); name a file that `dapbench track` may write")
    return (root / name).resolve()


def _projections(params: Params, root: Path) -> list[ExperimentRecord]:
    experiments = []
    for suite in params.suites:
        experiment = project(params, root, suite)
        if experiment is not None:
            experiments.append(experiment)
        elif suite in params.run.suites:
            folder = root / "reports" / "results" / suite
            raise BenchError(f"{folder}: no results of the suite {suite!r}; `dvc repro` or `dapbench run` makes them")
    return experiments


def _planned(database: Path, artifacts: Path, experiment: ExperimentRecord, tags: dict[str, str]) -> Changes | None:
    """What would change; None when the experiment itself has to be made, restored or moved first."""
    stored = read_experiment(database, experiment.name)
    if stored is None or not stored.active or stored.location != str(artifacts / experiment.name):
        return None
    return compare(experiment, tags, stored)


def _mlflow_version() -> str:
    # As a tag it lets a call that changes nothing see that the schema is the one of the installed MLflow.
    try:
        return version("mlflow")
    except PackageNotFoundError as error:
        raise BenchError("mlflow: not installed; `pip install 'dapbench[pipeline]'` brings it") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock on `folder`: MLflow's SQLite store wants one writer."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        reason = f"cannot be made ({error.strerror}); make the folder writable, then track again"
        raise BenchError(f"{folder}: {reason}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = "another `dapbench track` is writing here; wait until it has finished, then track again"
            raise BenchError(f"{folder}: {reason}") from error
        yield
    finally:
        os.close(handle)
