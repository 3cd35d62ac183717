"""From the result files of a suite to the runs that show them."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.output import csv_text
from benchmark.analysis.rows import Row
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.report.labels import label, unit
from benchmark.tracking.git import commit_of
from benchmark.tracking.parameters import Recorded, effective, parameters_hash
from benchmark.tracking.record import Dataset, Experiment, Group, Metric, Run
from benchmark.tracking.sources import (
    MethodFiles,
    Rate,
    Summary,
    Trace,
    data_manifests,
    files_below,
    method_files,
    summaries,
    tuned_rates,
)
from benchmark.tracking.views import views

GIGA = 1e9
NOTE = """{title}. Written by `dapbench track` from reports/results/{suite}: change the results, not the runs.

Kinds of run (tag `kind`): `suite` (figures and tables), `method` (means with 95 % intervals by budget, and the
architecture files), `job` (one architecture retrained), `search` (the course of one search). Runs that other parameters
than the present ones gave have the tag `current` = `false`.
"""


def experiments(params: Params, root: Path, suites: Iterable[str], named: Sequence[str] | None) -> list[Experiment]:
    """Return the experiments of `suites` that have results; one that is `named`, or else in run.suites, must have."""
    recorded = Recorded(root)
    found = {suite: project(params, root, suite, recorded) for suite in suites}
    for suite, experiment in found.items():
        if experiment is None and suite in (params.run.suites if named is None else named):
            folder = root / "reports" / "results" / suite
            raise BenchError(f"{folder}: no results of the suite {suite!r}; `dvc repro` or `dapbench run` makes them")
    return [experiment for experiment in found.values() if experiment is not None]


def project(params: Params, root: Path, suite: str, recorded: Recorded) -> Experiment | None:
    """Return the experiment that shows `suite`: an overview, then a group per method, variant, granularity and cost.

    None when no method of the suite has results. Raises `BenchError` for a file that is corrupt or missing.
    """
    methods = method_files(params, root, suite)
    if not methods:
        return None
    datasets = tuple(Dataset(*manifest) for manifest in data_manifests(root, suite))
    means = summaries(params, root, suite)
    groups: list[Group] = []
    for files in methods:
        made_with = recorded.behind(params, suite, files.method, files.results)
        places: dict[tuple[str, ...], list[Row]] = {}
        for row in files.rows:
            places.setdefault((row.variant, row.granularity, row.cost), []).append(row)
        commit = commit_of(root, files.results)
        groups += [_group(made_with, root, files, rows, means, datasets, commit) for rows in places.values()]
    overview = Run(
        name=params.suites[suite].title,
        started=min(group.parent.started for group in groups),
        ended=max(group.parent.ended for group in groups),
        tags={"kind": "suite", "suite": suite, "model": params.suites[suite].model.name},
        artifacts={**_below(root, "figures", suite), **_below(root, "tables", suite)},
        datasets=datasets,
    )
    note = NOTE.format(title=params.suites[suite].title, suite=suite)
    tags = {"mlflow.note.content": note, **views(params, suite)}
    return Experiment(suite, tags, (Group("suite", "", overview), *groups))


def _group(
    params: Params,
    root: Path,
    files: MethodFiles,
    rows: list[Row],
    means: list[Summary],
    datasets: tuple[Dataset, ...],
    commit: dict[str, str],
) -> Group:
    """The runs of the rows of one method, variant, granularity and cost."""
    first = rows[0]
    values = effective(params, first.suite, first.method, first.variant)
    grid = params.suites[first.suite].grid
    # A list of runs shows the first words of a name: none that all of them share.
    own = [unit(first.granularity)] * (len(grid.granularities) > 1) + [first.cost] * (len(grid.costs) > 1)
    name = ", ".join((_plain(label(first.method, first.variant)), *own))
    axes = {"method": _name(first), "granularity": first.granularity, "cost": first.cost}
    names = ("suite", "model", "method", "variant", "granularity", "cost")
    tags = {name: str(getattr(first, name)) for name in names} | commit
    rates = tuned_rates(root, first.suite)
    started, ended = files.span({job for row in rows for job in (row.cell, row.search_cell) if job})
    hashed = parameters_hash(values)
    parent = Run(
        name=name,
        started=started,
        ended=ended,
        params=axes | values,
        metrics=tuple(_means(means, first)),
        tags={"kind": "method", "parameters": hashed, **tags, **_machine(files)},
        artifacts={"rows.csv": _csv(rows)}
        | {f"architectures/{name}": path for name, path in files.architectures(rows).items()},
        datasets=datasets,
    )
    common = Run(name, 0, 0, axes | values, tags={**tags, "parameters": hashed})
    children = (*_jobs(files, rows, rates, common), *_searches(files, first, common))
    return Group("/".join((_name(first), first.granularity, first.cost)), hashed, parent, children)


def _jobs(files: MethodFiles, rows: list[Row], rates: Sequence[Rate], common: Run) -> Iterator[Run]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.budget, row.seed, row.weights, row.arm, row.retraining), []).append(row)
    for group in groups.values():
        row = group[0]
        started, ended = files.span({one.cell for one in group})
        more = [row.arm] * bool(row.arm) + [f"retraining {row.retraining}"] * bool(row.retraining)
        axes = {"budget": repr(row.budget), "weights": row.weights, "seed": str(row.seed)}
        axes |= {"control": row.arm} if row.arm else {}
        axes |= {"retraining": str(row.retraining)} if row.retraining else {}
        tuned = [r for r in rates if (r.granularity, r.budget) == (row.granularity, row.budget)]
        yield Run(
            name=", ".join((common.name, f"{100 * row.budget:.3g} %", row.weights, f"seed {row.seed}", *more)),
            started=started,
            ended=ended,
            params=common.params | _as_trained(common.params, row, tuned) | axes,
            metrics=tuple(_measured(group)),
            tags=common.tags
            | {"kind": "job", "arm": row.arm, "cell": row.cell, "search_cell": row.search_cell}
            | {"architecture": row.architecture},
        )


def _as_trained(params: dict[str, str], row: Row, rates: Iterable[Rate]) -> dict[str, str]:
    """What a retraining does otherwise than its suite says: learning rates chosen for its budget, twice the steps."""
    recipes = {"training": "training", "finetune": "transfer.finetune", "scratch": "transfer.scratch"}
    changed = {f"{recipes[rate.kind]}.lr": json.dumps(rate.lr) for rate in rates if rate.cost in (None, row.cost)}
    if row.arm == "twice":
        changed["training.steps"] = str(2 * int(params["training.steps"]))
    return changed


def _measured(rows: list[Row]) -> Iterator[Metric]:
    """Accuracies by measure and number of shots, in the mean over draws, then over targets; and what it cost."""
    found: dict[tuple[str, int], dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault((row.measure, row.shots), {}).setdefault(row.target, []).append(row)
    for (measure, shots), targets in sorted(found.items()):
        name = f"{measure}_{shots}shot"
        means = {target: _mean(row.accuracy for row in some) for target, some in targets.items()}
        yield Metric(f"accuracy_{name}", _mean(means.values()))
        if len(means) > 1:
            yield from (Metric(f"accuracy_{name}_{target}", mean) for target, mean in means.items())
        deviations = [row.episode_sd for some in targets.values() for row in some if row.episode_sd is not None]
        if deviations:
            yield Metric(f"episode_sd_{name}", _mean(deviations))
    row = rows[0]
    if row.source_accuracy is not None:
        yield Metric("source_accuracy", row.source_accuracy)
    yield Metric("complexity", row.complexity)
    # The axes of MLflow's charts are linear.
    yield Metric("log10_params", math.log10(row.params))
    yield Metric("log10_macs", math.log10(row.macs))
    yield Metric("params", row.params)
    yield Metric("macs", row.macs)
    yield Metric("search_gflops", row.search_flops / GIGA)
    yield Metric("train_gflops", _mean(one.train_flops for one in rows) / GIGA)


def _searches(files: MethodFiles, first: Row, common: Run) -> Iterator[Run]:
    for trace, job in files.traces(first):
        started, ended = files.span({job})
        yield Run(
            name=f"{common.name}, search, seed {trace.seed}",
            started=started,
            ended=ended,
            params={**common.params, "seed": str(trace.seed)},
            metrics=tuple(_course(trace)),
            tags=common.tags | {"kind": "search", "search_cell": job},
        )


def _course(trace: Trace) -> Iterator[Metric]:
    for point in trace.points:
        for name, value in (point.model_extra or {}).items():
            if value is not None:
                yield Metric(f"search/{name}", value, point.step)


def _means(means: list[Summary], row: Row) -> Iterator[Metric]:
    """Curves over the budget, named by weights, measure, shots and, where there are several, the target.

    The step counts hundredths of a percent, so that MLflow's line charts show them.
    """
    place = (row.method, row.variant, row.granularity)
    for summary in (one for one in means if one.slice.cost == row.cost):
        mine = [e for e in (*summary.areas, *summary.cells) if (e.method, e.variant, e.granularity) == place]
        several = len({estimate.target for estimate in mine}) > 1
        for estimate in mine:
            target = estimate.target if several and estimate.target != OVERALL else ""
            shots = f"{estimate.shots}shot"
            curve = "_".join(filter(None, (estimate.weights, summary.slice.measure, shots, target)))
            if estimate.budget is None:
                yield Metric(f"{curve}/area", estimate.accuracy)
                continue
            step = round(estimate.budget * 10_000)
            yield Metric(f"{curve}/mean", estimate.accuracy, step)
            if estimate.half is not None:
                yield Metric(f"{curve}/low", round(estimate.accuracy - estimate.half, 6), step)
                yield Metric(f"{curve}/high", round(estimate.accuracy + estimate.half, 6), step)


def _machine(files: MethodFiles) -> dict[str, str]:
    """The processor, device and libraries that computed the results, as tags."""
    made = files.provenance
    tags = {"cpu": made.get("machine", {}).get("cpu"), "device": made.get("device"), "python": made.get("python")}
    tags |= {name: made.get("libraries", {}).get(name) for name in ("dapbench", "torch")}
    return {name: str(value) for name, value in tags.items() if value}


def _csv(rows: list[Row]) -> str:
    fields = list(Row.model_fields)
    return csv_text(fields, [[getattr(row, field) for field in fields] for row in rows])


def _below(root: Path, kind: str, suite: str) -> dict[str, Path | str]:
    return {f"{kind}/{name}": path for name, path in files_below(root / "reports" / kind / suite).items()}


def _name(row: Row) -> str:
    return f"{row.method}+{row.variant}" if row.variant else row.method


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected)
