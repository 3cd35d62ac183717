"""A suite whose rows are written down one by one, so that its statistics can be checked by hand."""

import math
from pathlib import Path

from benchmark.analysis import analyse
from benchmark.analysis.rows import Row, write_results
from benchmark.config.params import Params, parse

# Where a seed's accuracies lie between those of the seeds 0 and 1. The third is half-way, so that means are those of
# the two, and a standard error is half their distance divided by the root of three.
SEEDS = {0: 0.0, 1: 1.0, 2: 0.5}
T2 = 4.302652730  # 97.5 % quantile of Student's t with two degrees of freedom, from a printed table


def params_of(**changes) -> Params:
    grid = {"granularities": ["channel"], "budgets": [0.1, 0.01], "seeds": list(SEEDS)} | changes.pop("grid", {})
    recipe = {"steps": 1, "batch": 1, "lr": 0.1}
    transfer = {"weights": ["fresh"], "shots": [5], "draws": 2, "finetune": recipe, "scratch": recipe}
    methods = changes.pop("methods", ["dense", "uniform", "dap"])
    targets = changes.pop("targets", {"t": {}})
    suite = {
        "title": "Hand-made",
        "data": {
            "source": {"name": "digits"},
            "targets": [{"name": "digits", "label": label, **own} for label, own in targets.items()],
        },
        "model": {"name": "own:vgg16"},
        "grid": grid,
        "training": recipe,
        "transfer": transfer | changes.pop("transfer", {}),
        "methods": {method: {} for method in methods} | changes.pop("suite_methods", {}),
    }
    content = {
        "run": {"suites": ["hand"], "methods": methods},
        "methods": {method: {} for method in methods} | changes.pop("method_settings", {}),
        "suites": {"hand": suite},
    }
    assert not changes
    return parse(Params, content, "params")


def with_primary(params: Params, *endpoints: dict) -> Params:
    """Return parameters whose suite has these primary endpoints."""
    content = params.model_dump(mode="json", exclude_none=True)
    content["suites"]["hand"]["primary"] = list(endpoints)
    return parse(Params, content, "params")


def row(method, budget, seed, draw, accuracy, **changes) -> Row:
    fields = {
        "suite": "hand",
        "model": "own:vgg16",
        "method": method,
        "variant": "",
        "granularity": "channel",
        "cost": "params",
        "budget": budget,
        "complexity": budget,
        "seed": seed,
        "weights": "fresh",
        "target": "t",
        "shots": 5,
        "draw": draw,
        "arm": "",
        "accuracy": accuracy,
        "source_accuracy": 0.9,
        "params": round(1000 * budget),
        "macs": round(8000 * budget),
        "search_flops": 10,
        "train_flops": 100,
        "cell": "c",
        "pretrain_flops": 1,
        "search_cell": "s",
        "architecture": "a",
    }
    return Row(**(fields | changes))


ROWS = {
    "dense": [row("dense", 1.0, s, d, 0.9) for s in SEEDS for d in (0, 1)],
    "uniform": [
        row("uniform", b, s, d, 0.6 + 0.1 * at + 0.02 * d)
        for b in (0.1, 0.01)
        for s, at in SEEDS.items()
        for d in (0, 1)
    ],
    "dap": [
        row("dap", b, s, d, 0.7 + 0.12 * at + 0.04 * d, complexity=0.9 * b)
        for b in (0.1, 0.01)
        for s, at in SEEDS.items()
        for d in (0, 1)
    ],
}


def summarise(tmp_path: Path, rows=ROWS, params: Params | None = None) -> dict:
    for method, found in rows.items():
        write_results(tmp_path / f"{method}.json", found, {"device": "cpu"})
    return analyse(params or params_of(), "hand", tmp_path)


def half_of(distance: float) -> float:
    """The half width of an interval over three seeds of which the third is half-way between the two others."""
    return T2 * distance / 2 / math.sqrt(3)


def p_of(difference: float, distance: float) -> float:
    """The two-sided p-value of such a difference: with two degrees of freedom it is 1 - t / sqrt(t^2 + 2)."""
    t = difference / (distance / 2 / math.sqrt(3))
    return 1 - t / math.sqrt(t * t + 2)


def only(records: list[dict], **where) -> dict:
    found = [r for r in records if all(r.get(key) == value for key, value in where.items())]
    assert len(found) == 1, (where, found)
    return found[0]
