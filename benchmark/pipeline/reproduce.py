"""Everything in one command: compute what is missing, run the pipeline, track, and compare with what is committed."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from benchmark.analysis.rows import IDENTITY
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.files import read_json, share
from benchmark.pipeline.collect import rows_of, searches_of, tuning_of
from benchmark.pipeline.main_table import ENTRY, show
from benchmark.pipeline.plan import Plan
from benchmark.pipeline.stages import Places, plan_of, prepare_data, run_suite
from benchmark.pipeline.warm import warm_stages

KEYS = ("cell", "search_cell")  # they change with the code
# An entry of the main table, and the slice that the table is of.
PLACE = (*ENTRY, "cost", "measure")
Record = Mapping[str, Any]


def reproduce(
    params: Params, suites: Sequence[str] | None = None, workers: int | None = None, root: Path = Path()
) -> int:
    """Bring results, tables, figures and the MLflow store up to date, and tell how they compare; returns the exit code.

    `params` is `root`/params.yaml, which the pipeline reads too. What is there already is not computed again.
    """
    console = Console(highlight=False)
    started = time.monotonic()
    chosen = list(suites or params.run.suites)
    before = _jobs(root)
    if code := run_suite(params, chosen, workers=workers, root=root):
        return code
    plans = {suite: plan_of(params, suite, root, prepare_data(params, suite, root)) for suite in chosen}
    for plan in plans.values():
        _withdraw_outdated(plan, Places(root))
    ran = run_pipeline(chosen, root)
    tracked = _track(params, root)
    computed = _jobs(root) - before
    for suite, plan in plans.items():
        show(console, params, suite, root)
        console.print(compare(plan, root).text(suite), soft_wrap=True)
    if not (computed or ran or tracked):
        console.print("Nothing to do: results, tables, figures and MLflow runs are up to date.")
    page = (root / "reports" / "index.html").resolve()
    console.print(f"Report: {page}\nTook {time.monotonic() - started:.0f} s.", soft_wrap=True)
    return 0


def run_pipeline(suites: Sequence[str], root: Path) -> int:
    """Run `dvc repro` of the suites in this process, so that a kill ends it too; returns how many stages ran.

    The page shows all suites, as far as they are committed, and is made without bringing the others up to date.
    Raises `BenchError` when a stage fails; its own output says why.
    """
    # dvc and mlflow stay out of the modules that compute.
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    _remove_half_written(root)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["DVC_NO_ANALYTICS"] = "1"
    with _only_stages_told(), warm_stages(), contextlib.chdir(root):
        try:
            with Repo() as repo:
                ran = repo.reproduce([f"report@{suite}" for suite in suites], run_cache=False)
                return len(ran) + len(repo.reproduce("page", single_item=True, run_cache=False))
        except LockError as error:
            raise BenchError(
                "dvc.lock: another dvc runs in this folder; wait until it has ended, then run again"
            ) from error
        except DvcException as error:
            raise BenchError(f"dvc.yaml: {' '.join(str(error).split())}; see above, then run again") from error


@contextlib.contextmanager
def _only_stages_told() -> Iterator[None]:
    """Keep dvc's messages to warnings and the names of the stages that run."""
    handlers = logging.getLogger("dvc").handlers

    def wanted(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or record.getMessage().startswith("Running stage")

    for handler in handlers:
        handler.addFilter(wanted)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(wanted)


def _remove_half_written(root: Path) -> None:
    """Remove files that a killed dvc left half-written; what they held is found out again from the job store."""
    from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml

    guard = root / ".dvc" / "tmp" / "rwlock"
    with contextlib.suppress(FileNotFoundError):
        try:
            json.loads(guard.read_text())
        except ValueError:
            guard.unlink()
    lock = root / "dvc.lock"
    with contextlib.suppress(FileNotFoundError):
        try:
            complete = bool(load_yaml(lock))
        except YAMLFileCorruptedError:
            complete = False
        if not complete:
            committed = _git(root, "show", "HEAD:dvc.lock")
            lock.unlink()
            if committed is not None:
                lock.write_text(committed)


def _withdraw_outdated(plan: Plan, places: Places) -> None:
    """Remove result files that differ from what the store now holds, so that their stages run again.

    DVC looks at the files a stage read; a result may differ without them, on another kind of machine.
    """
    data = places.results(plan.suite, "data.json")
    if data.exists() and plan.digests != plan_of(plan.params, plan.suite, places.root).digests:
        data.unlink()
    tuning = places.results(plan.suite, "tuning.json")
    if tuning.exists() and _read(tuning) != tuning_of(plan):
        tuning.unlink()
    for method in plan.methods:
        searches = places.results(plan.suite, f"{method}.search.json")
        if searches.exists() and _read(searches) != searches_of(plan, method):
            searches.unlink()
        results = places.results(plan.suite, f"{method}.json")
        if results.exists() and _read(results).get("rows") != [row.model_dump() for row in rows_of(plan, method)]:
            results.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except BenchError:
        return {}
    return content if isinstance(content, dict) else {}


def _jobs(root: Path) -> int:
    """How many finished jobs the store has."""
    return sum(1 for _ in Places(root).store.root.glob("??/*"))


def _track(params: Params, root: Path) -> int:
    """Make MLflow's runs equal to the results; returns how many changed."""
    from benchmark.tracking import track

    return track(params, root).changed


@dataclass(frozen=True)
class Comparison:
    """How recomputed rows compare with the committed ones.

    Of the `rows`, `added` have no counterpart among the `committed` ones and `changed` have another result than theirs.
    `difference` is the largest between two entries of the tables (means over seeds and draws), at `entry`; `half` is
    the half-width of that entry's 95 % interval, None with a single seed or outside the main table.
    """

    rows: int = 0
    committed: int = 0
    added: int = 0
    changed: int = 0
    difference: float = 0.0
    entry: str = ""
    half: float | None = None

    def text(self, suite: str) -> str:
        """Return the comparison in one line."""
        if not self.committed:
            return f"{suite}: {self.rows} rows; none are committed yet to compare them with."
        if not self.changed and self.rows == self.committed:
            return f"{suite}: all {self.rows} rows equal the committed ones, bit for bit."
        both = self.rows - self.added
        text = f"{suite}: {self.changed} of {both} rows differ from the committed ones"
        text += f"; {self.added} rows are new" if self.added else ""
        text += f"; {self.committed - both} committed rows are gone" if self.committed > both else ""
        if not self.entry:
            return f"{text}; no accuracy of the tables differs."
        interval = "no interval" if self.half is None else f"95 % interval ± {self.half:.4f}"
        return f"{text}; the largest difference in the tables is {self.difference:.4f} ({interval}) at {self.entry}."


def compare(plan: Plan, root: Path) -> Comparison:
    """Compare the result files of a suite with those of git's HEAD."""
    from benchmark.analysis import read_summary

    ours: dict[tuple[Any, ...], Record] = {}
    theirs: dict[tuple[Any, ...], Record] = {}
    for method in plan.methods:
        path = Places(root).results(plan.suite, f"{method}.json")
        ours |= _by_identity(_read(path).get("rows", []))
        committed = _git(root, "show", f"HEAD:./reports/results/{plan.suite}/{method}.json")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            theirs |= _by_identity(json.loads(committed or "{}").get("rows", []))
    both = ours.keys() & theirs.keys()
    changed = sum(_result(ours[place]) != _result(theirs[place]) for place in both)
    counts = (len(ours), len(theirs), len(ours) - len(both), changed)
    before, after = _means(theirs), _means(ours)
    gaps = {place: abs(after[place] - before[place]) for place in after.keys() & before.keys()}
    if not gaps or max(gaps.values()) == 0:
        return Comparison(*counts)
    worst = max(gaps, key=lambda place: (gaps[place], place))
    summary = read_summary(root, plan.suite)
    cells = [cell | summary["slice"] for cell in summary["cells"]]
    half = next((cell["half"] for cell in cells if tuple(cell[name] for name in PLACE) == worst), None)
    named = dict(zip(PLACE, worst, strict=True)) | {"budget": f"{share(worst[PLACE.index('budget')])} %"}
    entry = " ".join(f"{name}={value}" for name, value in named.items() if value != "")
    return Comparison(*counts, gaps[worst], entry, half)


def _by_identity(rows: Sequence[Record]) -> dict[tuple[Any, ...], Record]:
    # Rows of before there were several measures do not name theirs.
    return {tuple(row.get(name) for name in IDENTITY): row for row in rows}


def _result(row: Record) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in KEYS}


def _means(rows: Mapping[tuple[Any, ...], Record]) -> dict[tuple[Any, ...], float]:
    groups: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows.values():
        if not row["arm"]:  # the tables are about the grid
            groups[tuple(row.get(name) for name in PLACE)].append(row["accuracy"])
    return {place: fmean(values) for place, values in groups.items()}


def _git(root: Path, *arguments: str) -> str | None:
    """The output of a git command, None where there is no git or no such file."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
