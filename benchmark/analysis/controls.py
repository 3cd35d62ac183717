"""The arms of default variants beside the grid: what each changes in accuracy and area, paired by seed."""

from collections.abc import Mapping
from typing import Any

from benchmark.analysis.grid import BySeed, CellKey
from benchmark.analysis.intervals import Paired, holm, levels, paired
from benchmark.protocol.controls import WEIGHTS

# What the difference of areas, arm minus grid, says: not resolved, negative, positive.
VERDICTS = {
    "shuffled": ("ratios only", "units matter", "units matter"),
    "inverted": ("order not seen to matter", "order matters", "better inverted"),
    "labels": ("labels not seen to matter", "labels matter", "better without labels"),
    "flops": ("no gain seen", "longer is worse", "longer is better"),
}
ONE_SEED = "one seed: unknown"


def compare(arm: str, measure: str, grid: BySeed, other: BySeed, headline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return arm minus grid by method and budget, at the headline's target and shots.

    `measure` is "accuracy" or "area" (keys of budget 0), `grid` and `other` are its values by seed. Holm's correction
    runs over the records of one granularity. Those of areas have a verdict.
    """
    families: dict[str, list[tuple[CellKey, Paired]]] = {}
    for key, values in other.items():
        place = (key.weights, key.target, key.shots)
        if key in grid and place == (WEIGHTS, headline["target"], headline["shots"]):
            change = paired(values, grid[key])
            if change is not None:
                families.setdefault(key.granularity, []).append((key, change))
    return [
        {
            "arm": arm,
            "granularity": granularity,
            "method": key.method,
            "measure": measure,
            "budget": key.budget or None,
            "target": key.target,
            "shots": key.shots,
            **levels(in_grid=grid[key], in_arm=other[key]),
            "difference": change.mean,
            "half": change.half,
            "seeds": change.n,
            "p": change.p,
            "p_holm": adjusted,
            "verdict": verdict(arm, change) if measure == "area" else None,
        }
        for granularity, members in families.items()
        for (key, change), adjusted in zip(members, holm([change.p for _, change in members]), strict=True)
    ]


def verdict(arm: str, change: Paired) -> str:
    """Say what a difference of areas, arm minus grid, shows: nothing where its 95 % interval contains zero."""
    if change.half is None:
        return ONE_SEED
    unresolved, worse, better = VERDICTS[arm]
    if not change.resolved:
        return unresolved
    return worse if change.mean < 0 else better
