"""From the result files of a suite to the runs that show them."""

import math
from collections.abc import Iterable
from pathlib import Path

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.rows import Row
from benchmark.config.params import Params
from benchmark.files import share
from benchmark.tracking.record import Dataset, ExperimentRecord, Metric, RunRecord
from benchmark.tracking.sources import (
    Estimate,
    MethodFiles,
    Trace,
    data_manifests,
    estimates,
    files_below,
    method_files,
)

GIGA = 1e9
NOTE = """{title}

Written by `dapbench track` from reports/results/{suite}: change the results, not the runs. To compare, filter by tag
and select all, e.g. `tags.kind = "cell" and tags.method = "dap"`. Kinds of run: `suite` (figures and tables), `method`
(means and intervals by budget; steps are hundredths of a percent; architecture files), `cell` (one architecture
retrained), `search` (the course of one search).
"""


def project(params: Params, root: Path, suite: str) -> ExperimentRecord | None:
    """Return the experiment that shows `suite`: an overview, a parent per method and granularity, a child per cell.

    None when no method of the suite has results. Raises `BenchError` for a file that is corrupt or missing.
    """
    methods = method_files(params, root, suite)
    if not methods:
        return None
    datasets = tuple(Dataset(*manifest) for manifest in data_manifests(root, suite))
    means = estimates(root, suite)
    runs: list[RunRecord] = []
    for files in methods:
        for granularity in dict.fromkeys(row.granularity for row in files.rows):
            rows = [row for row in files.rows if row.granularity == granularity]
            mine = [e for e in means if (e.method, e.granularity) == (files.method, granularity)]
            children = [*_variants(files, rows, mine), *_cells(files, rows), *_searches(files, suite, granularity)]
            runs += [_parent(files, rows, mine, datasets), *children]
    overview = RunRecord(
        key=suite,
        name=suite,
        started=min(run.started for run in runs),
        ended=max(run.ended for run in runs),
        tags={"kind": "suite", "suite": suite, "model": params.suites[suite].model.name},
        artifacts=_reports(root, suite),
        datasets=datasets,
    )
    note = NOTE.format(title=params.suites[suite].title, suite=suite)
    return ExperimentRecord(name=suite, note=note, runs=(overview, *runs))


def _parent(files: MethodFiles, rows: list[Row], means: list[Estimate], datasets: tuple[Dataset, ...]) -> RunRecord:
    first = rows[0]
    started, ended = files.span(_all_cells(rows))
    architectures = files.architecture_files(first.granularity)
    return RunRecord(
        key=_parent_key(first.suite, first.method, first.granularity),
        name=f"{first.method} {first.granularity}",
        started=started,
        ended=ended,
        params={"method": first.method, "granularity": first.granularity},
        metrics=_means(means, ""),
        tags={"kind": "method", **_origin(first)},
        artifacts={files.results.name: files.results, **_below("architectures", architectures)},
        datasets=datasets,
    )


def _variants(files: MethodFiles, rows: list[Row], means: list[Estimate]) -> Iterable[RunRecord]:
    """The means of the variants, under the same names as the default's in the parent: charts compare equal names."""
    for variant in dict.fromkeys(row.variant for row in rows if row.variant):
        mine = [row for row in rows if row.variant == variant]
        label = _label(mine[0].method, variant)
        started, ended = files.span(_all_cells(mine))
        yield RunRecord(
            key=_parent_key(mine[0].suite, label, mine[0].granularity),
            name=f"{label} {mine[0].granularity}",
            started=started,
            ended=ended,
            parent=_parent_key(mine[0].suite, mine[0].method, mine[0].granularity),
            params={"method": label, "granularity": mine[0].granularity},
            metrics=_means(means, variant),
            tags={"kind": "method", **_origin(mine[0]), "variant": variant},
        )


def _cells(files: MethodFiles, rows: list[Row]) -> Iterable[RunRecord]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.variant, row.budget, row.seed, row.weights, row.arm), []).append(row)
    for group in groups.values():
        row = group[0]
        label = _label(row.method, row.variant)
        started, ended = files.span({row.cell for row in group})
        arm = [row.arm] if row.arm else []
        yield RunRecord(
            key="/".join((row.suite, label, row.granularity, repr(row.budget), f"s{row.seed}", row.weights, *arm)),
            name=" ".join((label, row.granularity, f"{share(row.budget)}%", f"s{row.seed}", row.weights, *arm)),
            started=started,
            ended=ended,
            parent=_parent_key(row.suite, row.method, row.granularity),
            params={
                "method": label,
                "granularity": row.granularity,
                "budget": repr(row.budget),
                "weights": row.weights,
                "seed": str(row.seed),
            },
            metrics=_measured(group),
            tags={
                "kind": "cell",
                **_origin(row),
                "variant": row.variant,
                "arm": row.arm,
                "cell": row.cell,
                "search_cell": row.search_cell,
                "architecture": row.architecture,
            },
        )


def _measured(group: list[Row]) -> tuple[Metric, ...]:
    row = group[0]
    accuracies: dict[int, dict[str, list[float]]] = {}
    for measured in group:
        accuracies.setdefault(measured.shots, {}).setdefault(measured.target, []).append(measured.accuracy)
    metrics = []
    for shots, targets in sorted(accuracies.items()):
        means = {target: _mean(values) for target, values in targets.items()}
        metrics.append(Metric(f"accuracy_{shots}shot", _mean(means.values())))
        if len(means) > 1:
            metrics += [Metric(f"accuracy_{shots}shot_{target}", mean) for target, mean in means.items()]
    if row.source_accuracy is not None:
        metrics.append(Metric("source_accuracy", row.source_accuracy))
    return (
        *metrics,
        Metric("complexity", row.complexity),
        # The axes of MLflow's comparison page are linear.
        Metric("log10_complexity", math.log10(row.complexity)),
        Metric("params", row.params),
        Metric("macs", row.macs),
        Metric("search_gflops", row.search_flops / GIGA),
        Metric("train_gflops", _mean(r.train_flops for r in group) / GIGA),
    )


def _searches(files: MethodFiles, suite: str, granularity: str) -> Iterable[RunRecord]:
    cells = {(f.variant, f.granularity, f.seed): f.search_cell for f in files.searches.architectures}
    for trace in files.searches.traces:
        cell = cells.get((trace.variant, trace.granularity, trace.seed))
        if trace.granularity != granularity or cell is None:
            continue
        label = _label(files.method, trace.variant)
        started, ended = files.span({cell})
        yield RunRecord(
            key=f"{suite}/{label}/{granularity}/search/s{trace.seed}",
            name=f"{label} {granularity} search s{trace.seed}",
            started=started,
            ended=ended,
            parent=_parent_key(suite, files.method, granularity),
            params={"method": label, "granularity": granularity, "seed": str(trace.seed)},
            metrics=_course(trace),
            tags={
                "kind": "search",
                "suite": suite,
                "method": files.method,
                "granularity": granularity,
                "variant": trace.variant,
                "search_cell": cell,
            },
        )


def _course(trace: Trace) -> tuple[Metric, ...]:
    return tuple(
        Metric(f"search/{name}", value, point.step)
        for point in trace.points
        for name, value in (point.model_extra or {}).items()
        if value is not None
    )


def _means(means: list[Estimate], variant: str) -> tuple[Metric, ...]:
    """Curves over the budget: the step counts hundredths of a percent, so that MLflow's line charts show them.

    With several targets, the name of a curve ends in its target; that of their mean has no such ending.
    """
    several = len({estimate.target for estimate in means}) > 1
    metrics = []
    for estimate in means:
        if estimate.variant != variant:
            continue
        target = estimate.target if several and estimate.target != OVERALL else ""
        curve = "_".join(filter(None, [estimate.weights, f"{estimate.shots}shot", target]))
        if estimate.budget is None:
            metrics.append(Metric(f"{curve}/area", estimate.accuracy))
            continue
        step = round(estimate.budget * 10_000)
        metrics.append(Metric(f"{curve}/mean", estimate.accuracy, step))
        if estimate.half is not None:
            metrics.append(Metric(f"{curve}/low", round(estimate.accuracy - estimate.half, 6), step))
            metrics.append(Metric(f"{curve}/high", round(estimate.accuracy + estimate.half, 6), step))
    return tuple(metrics)


def _reports(root: Path, suite: str) -> dict[str, Path]:
    reports = root / "reports"
    figures, tables = (files_below(reports / kind / suite) for kind in ("figures", "tables"))
    return {**_below("figures", figures), **_below("tables", tables)}


def _below(folder: str, files: dict[str, Path]) -> dict[str, Path]:
    return {f"{folder}/{name}": path for name, path in files.items()}


def _all_cells(rows: list[Row]) -> set[str]:
    return {cell for row in rows for cell in (row.cell, row.search_cell) if cell}


def _origin(row: Row) -> dict[str, str]:
    names = ("suite", "model", "method", "granularity", "cost")
    return {name: getattr(row, name) for name in names}


def _parent_key(suite: str, method: str, granularity: str) -> str:
    return f"{suite}/{method}/{granularity}"


def _label(method: str, variant: str) -> str:
    return f"{method}+{variant}" if variant else method


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected)
