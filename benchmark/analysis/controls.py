"""The controls of default variants beside the grid: what each changes in accuracy and area, paired by seed."""

from collections.abc import Mapping
from typing import Any

from benchmark.analysis.comparisons import Contrast, compare
from benchmark.analysis.grid import BySeed
from benchmark.analysis.intervals import FEWEST, Paired
from benchmark.protocol.controls import WEIGHTS

# What the difference of areas, control minus grid, says: not resolved, negative, positive.
VERDICTS = {
    "shuffled": ("ratios only", "units matter", "units matter"),
    "inverted": ("order not seen to matter", "order matters", "better inverted"),
    "labels": ("labels not seen to matter", "labels matter", "better without labels"),
    "flops": ("no gain seen", "longer is worse", "longer is better"),
}
TOO_FEW = f"fewer than {FEWEST} seeds: unknown"


def against_grid(
    arm: str, measure: str, grid: BySeed, other: BySeed, headline: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a control minus the grid by method and budget, at the headline's target and shots.

    `measure` is "accuracy" or "area" (keys of budget 0), `grid` and `other` are its values by seed. Holm's correction
    runs over the records of one granularity. Those of areas have a verdict.
    """
    contrasts = [
        Contrast(
            {
                "arm": arm,
                "granularity": key.granularity,
                "method": key.method,
                "measure": measure,
                "budget": key.budget or None,
                "target": key.target,
                "shots": key.shots,
            },
            values,
            grid[key],
            family=key.granularity,
        )
        for key, values in other.items()
        if key in grid and (key.weights, key.target, key.shots) == (WEIGHTS, headline["target"], headline["shots"])
    ]
    return [
        found.record("in_arm", "in_grid") | {"verdict": verdict(arm, found.test) if measure == "area" else None}
        for found in compare(contrasts)
    ]


def verdict(arm: str, change: Paired) -> str:
    """Say what a difference of areas, control minus grid, shows: nothing where its 95 % interval contains zero."""
    if change.half is None:
        return TOO_FEW
    unresolved, worse, better = VERDICTS[arm]
    if not change.resolved:
        return unresolved
    return worse if change.mean < 0 else better
