"""The analysis of a suite: result rows in, reports/analysis/SUITE out.

`summary.json` holds all that tables, figures, page and README show; they add no statistics of their own
beyond marking the best of the rows they print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.analysis import context, controls, noise, studies
from benchmark.analysis.areas import MEASURES, Areas, by_set, over
from benchmark.analysis.audit import audit
from benchmark.analysis.cells import accuracies, area_records, cell, largest_shares
from benchmark.analysis.contributed import contributed_file, joined, submissions
from benchmark.analysis.conventions import DIGITS, REFERENCE, conventions
from benchmark.analysis.doubled_training import doubled_training
from benchmark.analysis.endpoints import endpoints
from benchmark.analysis.equal_cost import at_equal_cost
from benchmark.analysis.floors import floors
from benchmark.analysis.grid import CellKey, methods_of, missing, variants_of
from benchmark.analysis.groups import OVERALL, Groups, group, overall
from benchmark.analysis.output import lines, metrics, plot_data
from benchmark.analysis.processors import kind, one_kind
from benchmark.analysis.ranks import rank_records
from benchmark.analysis.rivals import against_reference, gaps
from benchmark.analysis.rows import Row, read_results
from benchmark.analysis.rules import against_rules, free
from benchmark.analysis.seal import sealed, unsealed
from benchmark.analysis.searches import read_search
from benchmark.analysis.settings import settings
from benchmark.analysis.slices import Slice, sliced, slices
from benchmark.analysis.submission import Submission
from benchmark.config.ablations import studies_of
from benchmark.config.params import Params, SuiteConfig
from benchmark.errors import BenchError, unknown
from benchmark.files import atomic_write, write_json
from benchmark.protocol.controls import COMPARED, DENSE

Rows = dict[Path, list[Row]]  # by result file
Found = tuple[Rows, dict[str, Any]]  # and provenance by method

SCHEMA = 4
HEADLINE_SHOTS = 5


def analyse_suite(params: Params, suite: str, root: Path = Path()) -> dict[str, Any]:
    """Analyse `suite` and write summary.json, metrics.json and accuracy.csv to reports/analysis/SUITE.

    Reads reports/results/SUITE below `root`, and what others contributed in reports/contributed/SUITE. Returns the
    summary.
    """
    results = root / "reports" / "results" / suite
    found = _read(params, suite, results)
    summary = _analysed(params, suite, results, found)
    folder = root / "reports" / "analysis" / suite
    others = slices(params.suites[suite])[1:]
    beside = {one.name: _analysed(params, suite, results, found, one) for one in others}
    summary["audit"] = [asdict(finding) for finding in audit(params, suite, summary, list(beside.values()))]
    for found_elsewhere in submissions(root, suite):
        apart = beside_dense(params, found_elsewhere, root)
        for one, shown in zip((summary, *beside.values()), apart, strict=True):
            one.setdefault("contributed", []).append(_contributed(found_elsewhere, shown))
    for name, slice_summary in beside.items():
        atomic_write(summary_file(root, suite, name), lines(sealed(slice_summary)))
    write_json(
        root / "reports" / "slices" / suite / "slices.json", {"schema": 1, "slices": [one.name for one in others]}
    )
    atomic_write(summary_file(root, suite), lines(sealed(summary)))
    write_json(folder / "metrics.json", metrics(summary))
    atomic_write(folder / "accuracy.csv", plot_data(summary))
    return summary


def beside_dense(params: Params, found: Submission, root: Path) -> list[dict[str, Any]]:
    """Return the summaries, by slice, of a method's contributed rows beside the dense control's of the suite alone."""
    results = root / "reports" / "results" / found.suite
    params, dense = joined(params, found), results / f"{DENSE}.json"
    rows = {contributed_file(root, found.suite, found.method): found.results.rows}
    provenance: dict[str, Any] = {found.method: found.results.provenance.model_dump(mode="json")}
    if dense.exists():
        rows[dense], provenance[DENSE] = read_results(dense)
    every = slices(params.suites[found.suite])
    return [_analysed(params, found.suite, results, (rows, provenance), one) for one in every]


def _contributed(found: Submission, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary says of a method whose rows others computed."""
    own = {
        name: [record for record in summary[name] if record["method"] == found.method] for name in ("cells", "areas")
    }
    package = " ".join(filter(None, (found.package.name, found.package.version)))
    return {
        "method": found.method,
        "package": package,
        "processor": kind(found.results.provenance.model_dump(mode="json")),
        "checksum": found.checksum,
        **own,
    }


def summary_file(root: Path, suite: str, name: str | None = None) -> Path:
    """Return where the summary of a suite is, or that of its slice `name` (None: of the main one)."""
    if name is None:
        return root / "reports" / "analysis" / suite / "summary.json"
    return root / "reports" / "slices" / suite / f"{name}.json"


def read_summary(root: Path, suite: str, name: str | None = None) -> dict[str, Any]:
    """Read reports/analysis/SUITE/summary.json, or that of the slice `name`.

    `BenchError` when it is absent, of another schema, or not as it was written.
    """
    return unsealed(summary_file(root, suite, name), SCHEMA)


def analyse(params: Params, suite: str, results: Path) -> dict[str, Any]:
    """Return the main summary of a suite (schema 4) from the result files METHOD.json in `results`.

    It is that of the first cost, and of the measure of the headline.

    Combinations are enumerated from `params`; absent rows are listed under `missing`, rows that params.yaml
    does not ask for are left out and counted. A method without a result file counts as absent;
    `BenchError` when no method has one, when a row is given twice, or when methods were computed on different kinds of
    processor. With several targets their mean stands among them as the target `OVERALL`.
    """
    return _analysed(params, suite, results, _read(params, suite, results))


@dataclass(frozen=True)
class _Case:
    """One slice of a suite: its rows by place and seed, and the accuracies and areas that are made of them."""

    params: Params  # of this slice alone
    suite: str
    results: Path
    rows: Rows
    single: Groups
    groups: Groups  # also the mean over targets
    unexpected: int
    accuracies: dict[CellKey, dict[int, float]]
    areas: dict[str, Areas]
    headline: Mapping[str, Any]

    @property
    def config(self) -> SuiteConfig:
        return self.params.suites[self.suite]

    @property
    def seeds(self) -> list[int]:
        return sorted(self.config.grid.seeds)

    @property
    def tested(self) -> dict[str, Areas]:
        """The values by seed of everything that is tested, by the name of the measure."""
        return {"accuracy": self.accuracies} | {MEASURES[name]: values for name, values in self.areas.items()}

    @property
    def arms(self) -> list[str]:
        return [control for control in self.config.transfer.controls if control in COMPARED]

    def arm(self, name: str) -> Groups:
        """Return the rows of an arm, also in the mean over targets."""
        found, _ = group(self.params, self.suite, self.rows, name)
        return found | overall(found, _shots_on(self.config))


def _case(params: Params, suite: str, results: Path, rows: Rows) -> _Case:
    config = params.suites[suite]
    single, unexpected = group(params, suite, rows)
    groups = single | overall(single, _shots_on(config))
    by_seed = accuracies(groups)
    areas = by_set(groups, by_seed, config.grid.budgets)
    return _Case(params, suite, results, rows, single, groups, unexpected, by_seed, areas, _headline(config))


def _analysed(params: Params, suite: str, results: Path, found: Found, one: Slice | None = None) -> dict[str, Any]:
    """Return the summary of a slice (None: the main one) from what `_read` has read."""
    rows, provenance = found
    main = slices(params.suites[suite])[0]
    one = one or main
    case = _case(sliced(params, suite, one), suite, results, rows)
    measured = _measured(case)
    rounded: dict[str, Any] = _rounded(
        {
            **_described(case, one),
            **measured,
            "primary": endpoints(params, suite, rows) if one == main else [],
            **_verdict(case, measured["cells"]),
            **_context(case),
            "provenance": provenance,
            **_controlled(case),
            **_studied(case),
        }
    )
    return rounded


def _described(case: _Case, one: Slice) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "suite": case.suite,
        "title": case.config.title,
        "conventions": conventions(bool(case.arms), bool(studies_of(case.params, case.suite))),
        "slice": {"cost": one.cost, "measure": one.measure},
        "headline": case.headline,
        "floors": floors(case.results / "floors.json", case.seeds, _shots_on(case.config)),
        "axes": _axes(case),
    }


def _measured(case: _Case) -> dict[str, Any]:
    """Return accuracies and areas, and every comparison of them that is no verdict."""
    doubled = case.arm("twice") if "twice" in case.config.transfer.controls else {}
    return {
        "cells": [cell(key, case.groups, case.accuracies[key], case.seeds) for key in case.groups],
        "areas": area_records(case.areas["all"], case.seeds),
        "small_areas": area_records(case.areas.get("small", {}), case.seeds),
        "tests": [r for measure, values in case.tested.items() for r in against_reference(values, measure)],
        "gaps": gaps(case.areas["all"]),
        "twice": doubled_training(case.groups, doubled),
    }


def _verdict(case: _Case, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the reference beside the search-free rules, at equal cost, ranks, and where the noise comes from."""
    by_seed, grid, weights = case.accuracies, case.config.grid, case.headline["weights"]
    rules, best_rule = against_rules(case.tested, free(case.groups, weights), REFERENCE, case.headline)
    return {
        "rules": rules,
        "best_rule": best_rule,
        "equal_cost": at_equal_cost(case.groups, by_seed, grid.costs[0], grid.budgets, REFERENCE),
        "ranks": rank_records(cells, grid.granularities, weights),
        "pairing": noise.pairing(by_seed, REFERENCE, case.headline),
        "variances": noise.sources(case.groups, weights, case.headline["shots"]),
    }


def _context(case: _Case) -> dict[str, Any]:
    """Return what stands beside the accuracies: learning rates, data, what is absent."""
    return {
        "tuning": context.tuning(case.results),
        "data": context.data(case.config, case.results),
        "largest_shares": largest_shares(case.groups),
        "missing": missing(case.params, case.suite, _replicates(case.single, case.config)),
        "unexpected_rows": case.unexpected,
    }


def _controlled(case: _Case) -> dict[str, Any]:
    """Return the arms beside the grid; empty where the suite has none."""
    records = []
    for arm in case.arms:
        groups = case.arm(arm)
        by_seed = accuracies(groups)
        measured = {"accuracy": by_seed, "area": over(groups, by_seed, case.config.grid.budgets)}
        for measure, values in measured.items():
            records += controls.against_grid(arm, measure, case.tested[measure], values, case.headline)
    return {"arms": records} if case.arms else {}


def _studied(case: _Case) -> dict[str, Any]:
    """Return what the studies say; empty where the suite has none."""
    asked, grid = studies_of(case.params, case.suite), case.config.grid
    costs = studies.relative_costs(case.single)
    found: dict[str, Any] = {"studies": [], "study_areas": [], "study_settings": [], "study_searches": []}
    for study in asked:
        variants = case.params.method(study.method).variants
        changed = {name: variants[name].changes for name in study.variants}
        found["studies"].append({"study": study.name, "method": study.method, "variants": changed})
        for name, values in case.areas.items():
            found["study_areas"] += studies.against_default(study, name, values, case.headline)
        found["study_settings"] += settings(study, case.areas["all"], case.headline)
        content = read_search(case.results / f"{study.method}.search.json")
        found["study_searches"] += studies.searches(study, content, grid.granularities, grid.budgets, costs)
    return found if asked else {}


def _shots_on(config: SuiteConfig) -> dict[str, list[int]]:
    return {target.label: config.shots(target) for target in config.data.targets}


def _read(params: Params, suite: str, results: Path) -> Found:
    """Return the rows of every result file of the suite, and the provenance of every method."""
    if suite not in params.suites:
        raise unknown("suite", suite, params.suites, "suite")
    files = {method: results / f"{method}.json" for method in methods_of(params, suite)}
    present = {method: path for method, path in files.items() if path.exists()}
    if not present:
        raise BenchError(f"{results}: no result files of the suite {suite}; `dvc repro` or `dapbench run` makes them")
    rows: Rows = {}
    provenance: dict[str, Any] = {}
    for method, path in present.items():
        rows[path], provenance[method] = read_results(path)
    one_kind(provenance, str(results))
    return rows, provenance


def _axes(case: _Case) -> dict[str, Any]:
    config, shots_on = case.config, _shots_on(case.config)
    granularities = config.grid.granularities
    return {
        "granularities": granularities,
        "methods": [
            {"method": method, "variants": {g: variants_of(case.params, case.suite, method, g) for g in granularities}}
            for method in methods_of(case.params, case.suite)
        ],
        "weights": config.transfer.weights,
        "targets": list(shots_on),
        "cost": config.grid.costs[0],
        "budgets": sorted(config.grid.budgets, reverse=True),
        "shots": shots_on,
        "seeds": case.seeds,
        "draws": {target.label: config.draws(target) for target in config.data.targets},
    }


def _replicates(groups: Groups, config: SuiteConfig) -> dict[CellKey, dict[int, set[int]]]:
    """Return which replicates a seed has at each place, numbered draw by draw and retraining by retraining."""
    draws = {target.label: config.draws(target) for target in config.data.targets}
    return {
        key: {s: {row.retraining * draws[row.target] + row.draw for row in found} for s, found in seeds.items()}
        for key, seeds in groups.items()
    }


def _headline(config: SuiteConfig) -> dict[str, Any]:
    """Return the weights mode, shots and target of the headline: five shots where they exist, else the middle ones."""
    shots_on, weights = _shots_on(config), config.transfer.weights
    targets = list(shots_on)
    common = set.intersection(*(set(shots) for shots in shots_on.values()))
    shots = sorted(common or shots_on[targets[0]])
    return {
        "weights": "fresh" if "fresh" in weights else weights[0],
        "shots": HEADLINE_SHOTS if HEADLINE_SHOTS in shots else shots[(len(shots) - 1) // 2],
        "target": OVERALL if len(targets) > 1 and common else targets[0],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
