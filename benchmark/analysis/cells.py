"""The records of a summary: the accuracies of every place, and the areas over their budgets."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmark.analysis.areas import Areas
from benchmark.analysis.grid import CellKey
from benchmark.analysis.groups import Groups, by_target, mean, target_mean
from benchmark.analysis.intervals import deviation, mean_interval
from benchmark.analysis.rows import Row
from benchmark.protocol.controls import DENSE


def accuracies(groups: Groups) -> dict[CellKey, dict[int, float]]:
    """Return the accuracy of every place by seed, every target counting the same."""
    return {
        key: {s: target_mean(found, lambda row: row.accuracy) for s, found in seeds.items()}
        for key, seeds in groups.items()
    }


def cell(key: CellKey, groups: Groups, by_seed: Mapping[int, float], seeds: Sequence[int]) -> dict[str, Any]:
    """Return the record of one place: its accuracy and what it cost, as means over seeds."""
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
        **fields(key),
        "complexity": mean(row.complexity for row in per_seed),
        **_estimate(list(by_seed.values())),
        **_top5(groups[key].values()),
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


def _top5(seeds: Collection[Sequence[Row]]) -> dict[str, Any]:
    """Return the Top-5 accuracy with its interval; nothing where the suite does not ask for it."""
    if any(row.top5 is None for found in seeds for row in found):
        return {}
    estimate = mean_interval([target_mean(found, lambda row: row.top5 or 0.0) for found in seeds])
    return {"top5": estimate.mean, "top5_half": estimate.half}


def _episodes(rows: Sequence[Row]) -> int:
    """The episodes that a seed's accuracy is a mean over, of the target with the fewest; retrainings share them."""
    return min(sum({row.draw: row.episodes for row in found}.values()) for found in by_target(rows))


def _draw_variance(rows: Sequence[Row]) -> float | None:
    """The variance of a mean over targets of one draw each; None where a target has a single draw."""
    targets = [[row.accuracy for row in found] for found in by_target(rows)]
    if min(map(len, targets)) < 2:
        return None
    return math.fsum(deviation(values) ** 2 for values in targets) / len(targets) ** 2


def area_records(areas: Areas, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return the record of every area."""
    return [
        {**fields(key), **_estimate(list(by.values())), "by_seed": [by.get(seed) for seed in seeds]}
        for key, by in areas.items()
    ]


def fields(key: CellKey) -> dict[str, Any]:
    """Return the fields of a place; an area has no budget."""
    found: dict[str, Any] = key._asdict()
    return found if key.budget else {name: value for name, value in found.items() if name != "budget"}


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    estimate = mean_interval(values)
    return {"accuracy": estimate.mean, "half": estimate.half, "seeds": estimate.n}


def largest_shares(groups: Groups) -> list[dict[str, Any]]:
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
