"""The analysis of a suite: result rows in, reports/analysis/SUITE out.

`summary.json` holds all that tables, figures, page and README show; they add no statistics of their own
beyond marking the best of the rows they print.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.analysis import context, controls, noise, studies
from benchmark.analysis.areas import MEASURES, Areas, by_set, over
from benchmark.analysis.audit import audit
from benchmark.analysis.comparisons import Contrast, compare
from benchmark.analysis.contributed import contributed_file, joined, submissions
from benchmark.analysis.doubled_training import doubled_training
from benchmark.analysis.endpoints import endpoints
from benchmark.analysis.equal_cost import at_equal_cost
from benchmark.analysis.floors import floors
from benchmark.analysis.grid import CellKey, methods_of, missing, variants_of
from benchmark.analysis.groups import OVERALL, Groups, by_target, group, mean, overall, target_mean
from benchmark.analysis.intervals import CONFIDENCE, deviation, mean_interval
from benchmark.analysis.output import lines, metrics, plot_data
from benchmark.analysis.processors import kind, one_kind
from benchmark.analysis.ranks import rank_records
from benchmark.analysis.rows import Row, read_results
from benchmark.analysis.rules import against_rules, free
from benchmark.analysis.seal import sealed, unsealed
from benchmark.analysis.searches import read_search
from benchmark.analysis.settings import settings
from benchmark.analysis.slices import Slice, sliced, slices
from benchmark.analysis.submission import Submission
from benchmark.config.ablations import Study, studies_of
from benchmark.config.params import Params, SuiteConfig
from benchmark.errors import BenchError, unknown
from benchmark.files import atomic_write, write_json
from benchmark.protocol.controls import COMPARED, DENSE

Found = tuple[dict[Path, list[Row]], dict[str, Any]]  # rows by file, provenance by method

SCHEMA = 4
DIGITS = 6
REFERENCE = "dap"
HEADLINE_SHOTS = 5
CONVENTIONS = {
    "confidence": CONFIDENCE,
    "unit": "search seed: k-shot draws are averaged within a seed, intervals and tests run over seeds (Student t)",
    "half": "half width of the interval; null below three seeds",
    "draw_sd": "standard deviation over the k-shot draws of a seed, pooled over seeds",
    OVERALL: "stands as a target of its own where two or more targets have the number of shots: their unweighted mean "
    "within a seed, over the seeds that have all of them; so means at different shots may be over different targets. "
    "Its draw_sd is that of one draw per target",
    "area": "area under accuracy over log achieved complexity, divided by the log range; seeds with every budget",
    "small_areas": "areas over the budgets of 10 % and less alone, in tests the measure small area; none where these "
    "are fewer than two, or all there are",
    "difference": f"{REFERENCE} (default variant) minus the method, paired by seed; positive: {REFERENCE} is better",
    "gap": "area with inherited minus area with fresh weights, same architectures, paired by seed",
    "twice": "dense control with fresh weights: trained on the source for twice as many steps minus as in the grid, "
    "paired by seed",
    "family": "Holm's correction runs over all comparisons that share granularity, weights, target, shots, measure "
    "(accuracy, area or small area) and kind of rival (methods: default variants of other methods; variants; dense)",
    "primary": "the endpoints that params.yaml names before the first row: first minus second, one number per seed; "
    "Holm's correction over all of them. Every other comparison here is exploratory",
    "joint_half": "half width at which the intervals of a whole family hold together with 95 % (Bonferroni)",
    "rules": "search-free methods and variants: no search and no pretraining. A family is all rules and budgets of "
    "equal granularity, measure and shots",
    "best_rule": f"{REFERENCE} minus the best rule: the smallest of its differences from all rules; low and high are "
    "the smallest lower and upper ends of the joint intervals, and best is the rule that is closest in the sample",
    "equal_cost": f"area of {REFERENCE} minus that of the method over the log of the other cost, within a seed over "
    "the range that both reach",
    "ranks": "mean rank of default variants over targets, shots, budgets; low and high: expanded percentile interval "
    "over resamples of at least five seeds; apart: that of the rank minus the best's excludes zero, not corrected for "
    "multiplicity",
    "pairing": f"correlation with {REFERENCE} over seeds, pooled over budgets at the headline's place; variance: of "
    "paired differences over that of unpaired ones",
    "variances": "sd: of one seed's accuracy, at the headline's shots, averaged as a variance over budgets; "
    "episodes, retrainings and seeds: shares of its square; null: not to be told apart, contained in seeds",
    "audit": "the rules of the protocol that can be checked from files: a suite that breaks one is no headline",
    "contributed": "cells and areas of methods whose rows others computed: neither paired nor tested",
    "largest_shares": "the largest part of its budget that a row of a method takes",
    "floats": f"rounded to {DIGITS} significant digits",
}
ARMS = (
    "arm minus grid, default variants with fresh weights at the headline's target and shots, paired by seed; Holm's "
    "correction over all records of equal arm, granularity and measure; verdicts are read from the interval of the area"
)
STUDIES = {
    "study_areas": "variant minus the method's default, at the headline's target and shots, paired by seed; budgets: "
    "all, or those of 10 % and less (small); Holm's correction over the variants of one study, granularity, weights "
    "mode and set of budgets",
    "study_settings": "the same over all budgets, in the mean over granularities; a variant that does not run at one "
    "counts as the default there; error: standard error of the difference; ahead: the best of its study, if its "
    "difference exceeds its error",
    "study_searches": "gap: relaxed minus discrete accuracy on held-out source images; spread: coefficient of "
    "variation of a group's kept units over seeds, mean over groups; overlap: share of kept units that two seeds have "
    "in common, chance: the same for units drawn at random, as many per group; nested: share of the units that the "
    "next larger budget keeps too; undecided: share of units whose backward gate lies between 0.05 and 0.95 at the "
    "end; search_cost: of the search for all budgets, in pretrainings",
}


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


def _analysed(params: Params, suite: str, results: Path, found: Found, one: Slice | None = None) -> dict[str, Any]:
    """Return the summary of a slice (None: the main one) from what `_read` has read."""
    rows, provenance = found
    main = slices(params.suites[suite])[0]
    one = one or main
    primary = endpoints(params, suite, rows) if one == main else []
    params = sliced(params, suite, one)
    config = params.suites[suite]
    shots_on = {target.label: config.shots(target) for target in config.data.targets}
    single, unexpected = group(params, suite, rows)
    groups = single | overall(single, shots_on)
    by_seed = _by_seed(groups)
    seeds = sorted(config.grid.seeds)
    areas = by_set(groups, by_seed, config.grid.budgets)
    tested = {"accuracy": by_seed} | {MEASURES[name]: values for name, values in areas.items()}
    doubled = group(params, suite, rows, "twice")[0] if "twice" in config.transfer.controls else {}
    headline = _headline(config, shots_on)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "suite": suite,
        "title": config.title,
        "conventions": CONVENTIONS,
        "slice": {"cost": one.cost, "measure": one.measure},
        "headline": headline,
        "floors": floors(results / "floors.json", seeds, shots_on),
        "axes": _axes(params, suite, shots_on),
        "cells": [_cell(key, groups, by_seed[key], seeds) for key in groups],
        "areas": _area_records(areas["all"], seeds),
        "small_areas": _area_records(areas.get("small", {}), seeds),
        "tests": [record for measure, values in tested.items() for record in _against_reference(values, measure)],
        "gaps": _gaps(areas["all"]),
        "twice": doubled_training(groups, doubled | overall(doubled, shots_on)),
        "primary": primary,
        **_verdict(groups, tested, config, headline),
        "tuning": context.tuning(results),
        "data": context.data(config, results),
        "largest_shares": _largest_shares(groups),
        "missing": missing(params, suite, _replicates(single, config)),
        "unexpected_rows": unexpected,
        "provenance": provenance,
    }
    if asked_controls := [control for control in config.transfer.controls if control in COMPARED]:
        summary["conventions"] = CONVENTIONS | {"arms": ARMS}
        summary["arms"] = [
            record
            for control in asked_controls
            for record in _controlled(control, group(params, suite, rows, control)[0], tested, config, headline)
        ]
    if asked := studies_of(params, suite):
        summary["conventions"] = summary["conventions"] | STUDIES
        summary |= _studied(asked, params, config, results, single, areas, headline)
    rounded: dict[str, Any] = _rounded(summary)
    return rounded


def _read(params: Params, suite: str, results: Path) -> Found:
    """Return the rows of every result file of the suite, and the provenance of every method."""
    if suite not in params.suites:
        raise unknown("suite", suite, params.suites, "suite")
    files = {method: results / f"{method}.json" for method in methods_of(params, suite)}
    present = {method: path for method, path in files.items() if path.exists()}
    if not present:
        raise BenchError(f"{results}: no result files of the suite {suite}; `dvc repro` or `dapbench run` makes them")
    rows: dict[Path, list[Row]] = {}
    provenance: dict[str, Any] = {}
    for method, path in present.items():
        rows[path], provenance[method] = read_results(path)
    one_kind(provenance, str(results))
    return rows, provenance


def _axes(params: Params, suite: str, shots_on: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    config = params.suites[suite]
    granularities = config.grid.granularities
    return {
        "granularities": granularities,
        "methods": [
            {"method": method, "variants": {g: variants_of(params, suite, method, g) for g in granularities}}
            for method in methods_of(params, suite)
        ],
        "weights": config.transfer.weights,
        "targets": list(shots_on),
        "cost": config.grid.costs[0],
        "budgets": sorted(config.grid.budgets, reverse=True),
        "shots": shots_on,
        "seeds": sorted(config.grid.seeds),
        "draws": {target.label: config.draws(target) for target in config.data.targets},
    }


def _largest_shares(groups: Groups) -> list[dict[str, Any]]:
    """Return, by method and variant, the row that takes the largest part of its budget: 1 is all of it."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for key, seeds in groups.items():
        for row in (row for rows in seeds.values() for row in rows):
            share = (row.complexity / row.budget, row.budget)
            found[key.method, key.variant] = max(share, found.get((key.method, key.variant), share))
    return [
        {"method": method, "variant": variant, "share": share, "budget": budget}
        for (method, variant), (share, budget) in found.items()
    ]


def _verdict(
    groups: Groups, tested: Mapping[str, Areas], config: SuiteConfig, headline: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the reference beside the search-free rules, at equal cost, ranks, and where the noise comes from."""
    by_seed, grid, weights = tested["accuracy"], config.grid, headline["weights"]
    rules, best_rule = against_rules(tested, free(groups, weights), REFERENCE, headline)
    return {
        "rules": rules,
        "best_rule": best_rule,
        "equal_cost": at_equal_cost(groups, by_seed, grid.costs[0], grid.budgets, REFERENCE),
        "ranks": rank_records(by_seed, list(grid.granularities), weights),
        "pairing": noise.pairing(by_seed, REFERENCE, headline),
        "variances": noise.sources(groups, weights, headline["shots"]),
    }


def _controlled(
    control: str, own: Groups, tested: Mapping[str, Areas], config: SuiteConfig, headline: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    own = own | overall(own, {target.label: config.shots(target) for target in config.data.targets})
    accuracies = _by_seed(own)
    areas = over(own, accuracies, config.grid.budgets)
    for measure, values in (("accuracy", accuracies), ("area", areas)):
        yield from controls.against_grid(control, measure, tested[measure], values, headline)


def _studied(
    asked: Sequence[Study],
    params: Params,
    config: SuiteConfig,
    results: Path,
    single: Groups,
    areas: Mapping[str, Areas],
    headline: Mapping[str, Any],
) -> dict[str, Any]:
    grid = config.grid
    costs = studies.relative_costs(single)
    found: dict[str, Any] = {"studies": [], "study_areas": [], "study_settings": [], "study_searches": []}
    for study in asked:
        variants = params.method(study.method).variants
        changed = {name: variants[name].params for name in study.variants}
        found["studies"].append({"study": study.name, "method": study.method, "variants": changed})
        for name, values in areas.items():
            found["study_areas"] += studies.against_default(study, name, values, headline)
        found["study_settings"] += settings(study, areas["all"], headline)
        content = read_search(results / f"{study.method}.search.json")
        found["study_searches"] += studies.searches(study, content, grid.granularities, grid.budgets, costs)
    return found


def _replicates(groups: Groups, config: SuiteConfig) -> dict[CellKey, dict[int, set[int]]]:
    """Return which replicates a seed has at each place, numbered draw by draw and retraining by retraining."""
    draws = {target.label: config.draws(target) for target in config.data.targets}
    return {
        key: {s: {row.retraining * draws[row.target] + row.draw for row in found} for s, found in seeds.items()}
        for key, seeds in groups.items()
    }


def _by_seed(groups: Groups) -> dict[CellKey, dict[int, float]]:
    return {
        key: {s: target_mean(found, lambda row: row.accuracy) for s, found in seeds.items()}
        for key, seeds in groups.items()
    }


def _headline(config: SuiteConfig, shots_on: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return the weights mode, shots and target of the headline: five shots where they exist, else the middle ones."""
    targets, weights = list(shots_on), config.transfer.weights
    common = set.intersection(*(set(shots) for shots in shots_on.values()))
    shots = sorted(common or shots_on[targets[0]])
    return {
        "weights": "fresh" if "fresh" in weights else weights[0],
        "shots": HEADLINE_SHOTS if HEADLINE_SHOTS in shots else shots[(len(shots) - 1) // 2],
        "target": OVERALL if len(targets) > 1 and common else targets[0],
    }


def _cell(key: CellKey, groups: Groups, by_seed: Mapping[int, float], seeds: Sequence[int]) -> dict[str, Any]:
    # One row per seed: everything but what a target costs and gives is a property of the search and its retraining.
    per_seed = [rows[0] for rows in groups[key].values()]
    rows = [row for found in groups[key].values() for row in found]
    variances = [v for found in groups[key].values() if (v := _draw_variance(found)) is not None]
    source = [row.source_accuracy for row in per_seed if row.source_accuracy is not None]
    control = groups.get(key._replace(method=DENSE, variant="", budget=1.0))
    dense = next(iter(control.values()))[0] if control else None
    flops = {name: mean(getattr(row, name) for row in per_seed) for name in ("pretrain_flops", "search_flops")}
    # Training compute is charged per accuracy, so it is averaged as the accuracies are.
    flops["train_flops"] = target_mean(rows, lambda row: row.train_flops)
    return {
        **_fields(key),
        "complexity": mean(row.complexity for row in per_seed),
        **_estimate(list(by_seed.values())),
        "draw_sd": math.sqrt(mean(variances)) if variances else None,
        "by_seed": [by_seed.get(seed) for seed in seeds],
        "rows": len(rows),
        "episodes": min(_episodes(found) for found in groups[key].values()),
        "source_accuracy": mean(source) if source else None,
        "params": mean(row.params for row in per_seed),
        "macs": mean(row.macs for row in per_seed),
        "compression": mean(dense.params / row.params for row in per_seed) if dense else None,
        "speedup": mean(dense.macs / row.macs for row in per_seed) if dense else None,
        **flops,
    }


def _episodes(rows: Sequence[Row]) -> int:
    """The episodes that a seed's accuracy is a mean over, of the target with the fewest; retrainings share them."""
    return min(sum({row.draw: row.episodes for row in found}.values()) for found in by_target(rows))


def _draw_variance(rows: Sequence[Row]) -> float | None:
    """The variance of a mean over targets of one draw each; None where a target has a single draw."""
    targets = [[row.accuracy for row in found] for found in by_target(rows)]
    if min(map(len, targets)) < 2:
        return None
    return math.fsum(deviation(values) ** 2 for values in targets) / len(targets) ** 2


def _area_records(areas: Areas, seeds: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {**_fields(key), **_estimate(list(by.values())), "by_seed": [by.get(seed) for seed in seeds]}
        for key, by in areas.items()
    ]


def _against_reference(values: Areas, measure: str) -> list[dict[str, Any]]:
    """Compare the reference with every rival at equal granularity, weights, target, budget and shots."""
    found = compare(_contrasts(values))
    return [one.record() | {"measure": measure, "family_size": one.family_size} for one in found]


def _contrasts(values: Areas) -> Iterator[Contrast]:
    for key, reference in values.items():
        if key.method != REFERENCE or key.variant:
            continue
        for rival, accuracies in values.items():
            budget = key.budget if rival.method == DENSE else rival.budget
            if rival != key and rival._replace(method=REFERENCE, variant="", budget=budget) == key:
                kind = "dense" if rival.method == DENSE else "variants" if rival.variant else "methods"
                family = (key.granularity, key.weights, key.target, key.shots, kind)
                place = _fields(rival._replace(budget=key.budget)) | {"family": kind}
                yield Contrast(place, reference, accuracies, family)


def _gaps(areas: Areas) -> list[dict[str, Any]]:
    """Return what a method's own weights add to its area: inherit minus fresh, paired by seed."""
    contrasts = []
    for key, fresh in areas.items():
        inherit = areas.get(key._replace(weights="inherit"))
        if key.weights == "fresh" and inherit:
            place = {name: value for name, value in _fields(key).items() if name != "weights"}
            contrasts.append(Contrast(place, inherit, fresh))
    return [one.record(corrected=False) for one in compare(contrasts)]


def _fields(key: CellKey) -> dict[str, Any]:
    fields: dict[str, Any] = key._asdict()
    return fields if key.budget else {name: value for name, value in fields.items() if name != "budget"}


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    estimate = mean_interval(values)
    return {"accuracy": estimate.mean, "half": estimate.half, "seeds": estimate.n}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
