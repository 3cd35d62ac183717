"""Areas under accuracy over log complexity by seed: over all budgets of a grid, and over its small ones."""

from collections.abc import Mapping, Sequence

from benchmark.analysis.grid import CellKey
from benchmark.analysis.groups import Groups
from benchmark.analysis.intervals import area
from benchmark.protocol.controls import DENSE

Areas = dict[CellKey, dict[int, float]]
SMALL = 0.1  # the largest of the small budgets
MEASURES = {"all": "area", "small": "small area"}  # what tests call the areas over a set of budgets


def budget_sets(budgets: Sequence[float]) -> dict[str, list[float]]:
    """Return the sets of budgets that areas are over: "all", and "small", those of 10 % and less.

    There are no small ones where they are fewer than two, which have no area, or all there are.
    """
    few = [budget for budget in budgets if budget <= SMALL]
    return {"all": list(budgets)} | ({"small": few} if 2 <= len(few) < len(budgets) else {})


def by_set(
    groups: Groups, by_seed: Mapping[CellKey, Mapping[int, float]], budgets: Sequence[float]
) -> dict[str, Areas]:
    """Return the areas over every set of budgets."""
    return {name: over(groups, by_seed, members) for name, members in budget_sets(budgets).items()}


def over(groups: Groups, by_seed: Mapping[CellKey, Mapping[int, float]], budgets: Sequence[float]) -> Areas:
    """Return the area over these budgets by seed, of all accuracies but the control's; its key has the budget 0.

    A seed that lacks one of the budgets has no area: ranges must agree.
    """
    curves: dict[CellKey, dict[int, list[tuple[float, float]]]] = {}
    for key, accuracies in by_seed.items():
        if key.method != DENSE and key.budget in budgets:
            curve = curves.setdefault(key._replace(budget=0.0), {})
            for seed, accuracy in accuracies.items():
                curve.setdefault(seed, []).append((groups[key][seed][0].complexity, accuracy))
    areas: Areas = {}
    for key, curve in curves.items():
        values = {s: area(*zip(*points, strict=True)) for s, points in curve.items() if len(points) == len(budgets)}
        known = {seed: value for seed, value in sorted(values.items()) if value is not None}
        if known:
            areas[key] = known
    return areas
