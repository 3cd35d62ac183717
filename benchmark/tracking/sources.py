"""The files of a suite that are projected, read and checked."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.analysis import SCHEMA as SUMMARY_SCHEMA
from benchmark.analysis.rows import Row, read_results
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.files import read_json

SCHEMA = 1
M = TypeVar("M", bound=BaseModel)


class _Part(BaseModel):
    """What is used of a JSON file; the other keys are for other readers."""

    model_config = ConfigDict(frozen=True)


class JobTiming(_Part):
    """When a cell ran: Unix seconds, and how long it took."""

    started: float = Field(gt=0)
    seconds: float = Field(ge=0)


class _Timings(_Part):
    cells: dict[str, JobTiming]


class FoundArchitecture(_Part):
    """An architecture that a search found; `file` is its path below the root."""

    variant: str
    granularity: str
    seed: int
    file: str
    search_cell: str


class TracePoint(BaseModel):
    """The state of a search after `step` steps: further keys are its quantities, null where undefined."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, float | None]

    step: int


class Trace(_Part):
    """The course of one search."""

    variant: str
    granularity: str
    seed: int
    points: tuple[TracePoint, ...]


class Searches(_Part):
    """METHOD.search.json."""

    architectures: tuple[FoundArchitecture, ...]
    traces: tuple[Trace, ...] = ()


class Estimate(_Part):
    """A mean over seeds with the half width of its 95 % interval; without `budget` it is an area."""

    method: str
    variant: str
    granularity: str
    weights: str
    target: str
    shots: int
    accuracy: float
    half: float | None
    budget: float | None = None


class _Summary(_Part):
    cells: tuple[Estimate, ...]
    areas: tuple[Estimate, ...]


class Manifest(_Part):
    """The parts of a data set's manifest that identify it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    digest: str
    source: str


class _Data(_Part):
    source: Manifest
    targets: dict[str, Manifest]


class MethodFiles:
    """What one method left in reports/results/SUITE and artifacts/SUITE/search/METHOD.

    Raises `BenchError` naming the file for one that is missing, corrupt or of another suite or method.
    A method without METHOD.search.json (it searches nothing) has no searches.
    """

    def __init__(self, root: Path, suite: str, method: str) -> None:
        folder = root / "reports" / "results" / suite
        self.method = method
        self.results = folder / f"{method}.json"
        self.rows: list[Row] = read_results(self.results)[0]
        for row in self.rows:
            if (row.suite, row.method) != (suite, method):
                found, expected = f"{row.suite}/{row.method}", f"{suite}/{method}"
                raise BenchError(f"{self.results}: a row is of {found}, expected {expected}; restore the file from git")
        self._timings_path = folder / f"{method}.timings.json"
        self._timings = _read(self._timings_path, _Timings).cells
        path = folder / f"{method}.search.json"
        self.searches = _read(path, Searches) if path.exists() else Searches(architectures=())
        self._root = root

    def span(self, cells: set[str]) -> tuple[int, int]:
        """Return when the first of these cells began and the last ended, in Unix milliseconds."""
        timings = []
        for cell in cells:
            if cell not in self._timings:
                raise BenchError(
                    f"{self._timings_path}: no timing of the cell {cell}; `dvc repro` makes the file again"
                )
            timings.append(self._timings[cell])
        started = min(timing.started for timing in timings)
        ended = max(timing.started + timing.seconds for timing in timings)
        return round(started * 1000), round(ended * 1000)

    def architecture_files(self, granularity: str) -> dict[str, Path]:
        """Return the architecture files that are here (they are not in git), by name."""
        found = [self._root / a.file for a in self.searches.architectures if a.granularity == granularity]
        return {path.name: path for path in found if path.is_file()}


def method_files(params: Params, root: Path, suite: str) -> list[MethodFiles]:
    """Return the files of the methods of `suite` that have results, in the order of params.yaml."""
    folder = root / "reports" / "results" / suite
    present = [name for name in params.methods_of(suite) if (folder / f"{name}.json").exists()]
    return [MethodFiles(root, suite, name) for name in present]


def data_manifests(root: Path, suite: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (source or target, label, manifest) for the data sets of `suite`."""
    path = root / "reports" / "results" / suite / "data.json"
    data = _read(path, _Data)
    targets = [("target", label, manifest.model_dump()) for label, manifest in data.targets.items()]
    return [("source", data.source.name, data.source.model_dump()), *targets]


def estimates(root: Path, suite: str) -> list[Estimate]:
    """Return the means, intervals and areas of reports/analysis/SUITE/summary.json; none when it was not made."""
    path = root / "reports" / "analysis" / suite / "summary.json"
    if not path.exists():
        return []
    summary = _read(path, _Summary, SUMMARY_SCHEMA)
    return [*summary.cells, *summary.areas]


def files_below(folder: Path) -> dict[str, Path]:
    """Return the files in `folder`, hidden ones apart, by their path within it; none when it does not exist."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("[!.]*")) if path.is_file()}


def _read(path: Path, model: type[M], schema: int = SCHEMA) -> M:
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise BenchError(f"{path}: expected an object of schema {schema}; restore it from git or run `dvc repro`")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BenchError(f"{path}: {key}: {first['msg']}; restore it from git or run `dvc repro`") from error
