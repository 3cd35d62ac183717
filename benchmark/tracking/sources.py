"""The files of a suite that are shown, read and checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.analysis import SCHEMA as SUMMARY_SCHEMA
from benchmark.analysis import read_summary
from benchmark.analysis.result_files import DataFile, Part, Rate, Searches, Timings, Trace, Tuning, read_part
from benchmark.analysis.rows import Row, read_results
from benchmark.analysis.slices import slices
from benchmark.analysis.summary import summary_file
from benchmark.config.params import Params
from benchmark.errors import BenchError


class Estimate(Part):
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


class _Slice(Part):
    cost: str
    measure: str


class Summary(Part):
    """The means and areas of one kind of cost and one measure."""

    slice: _Slice
    cells: list[Estimate]
    areas: list[Estimate]


class MethodFiles:
    """What one method left in reports/results/SUITE and artifacts/SUITE/search/METHOD.

    Raises `BenchError` naming the file for one that is missing, corrupt or of another suite or method.
    A method without METHOD.search.json (it searches nothing) has no searches.
    """

    def __init__(self, root: Path, suite: str, method: str) -> None:
        folder = root / "reports" / "results" / suite
        self.method = method
        self.results = folder / f"{method}.json"
        self.rows, self.provenance = read_results(self.results)
        for row in self.rows:
            if (row.suite, row.method) != (suite, method):
                found, expected = f"{row.suite}/{row.method}", f"{suite}/{method}"
                raise BenchError(f"{self.results}: a row is of {found}, expected {expected}; restore the file from git")
        self._timings_path = folder / f"{method}.timings.json"
        self._timings = read_part(self._timings_path, Timings)[0].cells
        path = folder / f"{method}.search.json"
        self.searches = read_part(path, Searches)[0] if path.exists() else Searches(architectures=[], traces=[])
        self._root = root

    def span(self, jobs: set[str]) -> tuple[int, int]:
        """Return when the first of these jobs began and the last ended, in Unix milliseconds."""
        for job in jobs:
            if job not in self._timings:
                raise BenchError(f"{self._timings_path}: no timing of the job {job}; `dvc repro` makes the file again")
        timings = [self._timings[job] for job in jobs]
        started = min(timing.started for timing in timings)
        ended = max(timing.started + timing.seconds for timing in timings)
        return round(started * 1000), round(ended * 1000)

    def architectures(self, rows: list[Row]) -> dict[str, Path]:
        """Return the architecture files behind rows that are here (they are not in git), by name."""
        searches = {row.search_cell for row in rows}
        found = [self._root / a.file for a in self.searches.architectures if a.search_cell in searches]
        return {path.name: path for path in found if path.is_file()}

    def traces(self, first: Row) -> Iterator[tuple[Trace, str]]:
        """Yield the traces of the searches at the place of a row, each with the search's job."""
        place = (first.variant, first.granularity)
        found = [a for a in self.searches.architectures if (a.variant, a.granularity) == place]
        jobs = {a.seed: a.search_cell for a in found if a.cost == first.cost}
        costs = {first.cost} | ({None} if len({a.cost for a in found}) == 1 else set())
        for trace in self.searches.traces:
            if (trace.variant, trace.granularity) == place and trace.cost in costs and trace.seed in jobs:
                yield trace, jobs[trace.seed]


def method_files(params: Params, root: Path, suite: str) -> list[MethodFiles]:
    """Return the files of the methods of `suite` that have results, in the order of params.yaml."""
    folder = root / "reports" / "results" / suite
    present = [name for name in params.methods_of(suite) if (folder / f"{name}.json").exists()]
    return [MethodFiles(root, suite, name) for name in present]


def data_manifests(root: Path, suite: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (source or target, label, manifest) for the data sets of `suite`."""
    path = root / "reports" / "results" / suite / "data.json"
    data = read_part(path, DataFile)[0]
    targets = [("target", label, manifest.model_dump()) for label, manifest in data.targets.items()]
    return [("source", data.source.name, data.source.model_dump()), *targets]


def summaries(params: Params, root: Path, suite: str) -> list[Summary]:
    """Return the analysis of every slice of a suite, the main one first; none when it was not made."""
    names = [None, *(one.name for one in slices(params.suites[suite])[1:])]
    found = []
    for name in names:
        path = summary_file(root, suite, name)
        if path.exists():
            read_summary(root, suite, name)  # refuses a file that is not as it was written
            found.append(read_part(path, Summary, SUMMARY_SCHEMA)[0])
    return found


def tuned_rates(root: Path, suite: str) -> list[Rate]:
    """Return the learning rates that were chosen for budgets; none where the recipes have their own."""
    path = root / "reports" / "results" / suite / "tuning.json"
    return read_part(path, Tuning)[0].rates if path.exists() else []


def files_below(folder: Path) -> dict[str, Path]:
    """Return the files in `folder`, hidden ones apart, by their path within it; none when it does not exist."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("[!.]*")) if path.is_file()}
