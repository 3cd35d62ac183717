"""MLflow as a view of the result files: `track` makes its runs equal to them.

Nothing logs to MLflow while jobs run: a result that comes from the cache would be lost, a repeated one logged twice,
and several processes that make one SQLite store spoil it.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.tracking.stamp import inputs_hash, unchanged, write_stamp
from benchmark.tracking.views import address

__all__ = ["TrackSummary", "track"]
PREFIX = "sqlite:///"


@dataclass(frozen=True)
class TrackSummary:
    """How many runs were created, written in place of others, and kept though other parameters gave them.

    `links` are the addresses of the suites that were written, once `make ui` runs. All is 0 when nothing had changed.
    """

    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    kept: int = 0
    links: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def changed(self) -> int:
        """How many runs were written."""
        return self.created + self.replaced

    def __str__(self) -> str:
        if not self.links:
            return "nothing has changed"
        counts = f"{self.created} created, {self.replaced} replaced, {self.unchanged} unchanged"
        return f"{counts}, {self.kept} of other parameters kept"


def track(
    params: Params, root: Path = Path(), uri: str = "sqlite:///mlflow.db", suites: Sequence[str] | None = None
) -> TrackSummary:
    """Make the MLflow database `uri` show reports/results below `root`, one experiment per suite.

    `suites` default to all of `params` that have results; one that is named, or in run.suites, must have them. Runs are
    written when what they show has changed; those of other parameters stay (tag `current`), and those of others are
    never touched. Nothing is imported or opened when nothing has changed. A relative path in `uri` is below `root`;
    artifacts go to mlartifacts/ there.

    Raises `BenchError` for a corrupt result file, a file that is not an MLflow database or has the schema of another
    MLflow, while another process tracks, and where MLflow is not installed.
    """
    database, artifacts = _database(uri, root), (root / "mlartifacts").resolve()
    expected = params.run.suites if suites is None else suites
    chosen = [
        suite
        for suite in params.suites
        if suite in expected or (suites is None and (root / "reports" / "results" / suite).is_dir())
    ]
    inputs = {suite: inputs_hash(params, root, suite) for suite in chosen}
    stamp = artifacts / f"{database.name}.tracked.json"
    shown = unchanged(stamp, database)
    if inputs.items() <= shown.items():
        return TrackSummary()
    if find_spec("mlflow") is None:
        raise BenchError("mlflow: not installed; `pip install 'dapbench[pipeline]'` brings it")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # Both import what takes seconds: torch and MLflow.
    from benchmark.tracking.projection import experiments
    from benchmark.tracking.write import update

    wanted = experiments(params, root, [suite for suite in chosen if inputs[suite] != shown.get(suite)], suites)
    with _alone(artifacts):
        done, ids = update(database, artifacts, wanted)
        write_stamp(stamp, database, shown | inputs)
    return TrackSummary(done.created, done.replaced, done.unchanged, done.kept, {k: address(v) for k, v in ids.items()})


def _database(uri: str, root: Path) -> Path:
    name = uri.removeprefix(PREFIX)
    if not uri.startswith(PREFIX) or not name or name == ":memory:" or "?" in name:
        raise BenchError(f"--uri: expected sqlite:///PATH (got {uri!r}); name a file that `dapbench track` may write")
    return (root / name).resolve()


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
