"""Areas over the other cost: what the same accuracies are worth where both methods cost the same in MACs (or in
parameters, where budgets are in MACs).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from benchmark.analysis.areas import budget_sets
from benchmark.analysis.comparisons import Contrast, compare
from benchmark.analysis.grid import BySeed, CellKey
from benchmark.analysis.groups import Groups
from benchmark.config.params import CostKind
from benchmark.protocol.controls import DENSE

Points = Sequence[tuple[float, float]]  # a cost and an accuracy
OTHER: Mapping[CostKind, CostKind] = {"params": "macs", "macs": "params", "memory": "macs"}  # rows carry no memory


def at_equal_cost(
    groups: Groups, by_seed: BySeed, cost: CostKind, budgets: Sequence[float], reference: str
) -> list[dict[str, Any]]:
    """Return the reference's area minus each other method's over the log of the cost that budgets are not shares of.

    At equal parameters architectures may differ in MACs by a factor, so the two curves are compared within a seed over
    the range of MACs that both reach; a seed without such a range has no value. Holm's correction runs over the methods
    and variants at equal granularity, weights, target, shots and set of budgets (`budgets`: all, or small).
    """
    records = []
    for name, members in budget_sets(budgets).items():
        curves = _curves(groups, by_seed, OTHER[cost], members)
        found = compare(_contrasts(curves, name, reference))
        records += [one.record() | {"cost": OTHER[cost]} for one in found]
    return records


def common_means(first: Points, second: Points) -> tuple[float, float] | None:
    """Return both curves' mean accuracy over the log of the costs that both reach; None where they share no range.

    Accuracies are interpolated linearly in the log cost; those of equal cost are averaged.
    """
    from numpy import interp, log

    sides = [_merged(side) for side in (first, second)]
    low, high = max(min(side) for side in sides), min(max(side) for side in sides)
    if low >= high:
        return None
    knots = log(sorted({low, high, *(cost for side in sides for cost in side if low < cost < high)}))
    means = []
    for side in sides:
        values = interp(knots, log(list(side)), list(side.values()))
        steps = [(b - a) * (y0 + y1) / 2 for (a, y0), (b, y1) in pairwise(zip(knots, values, strict=True))]
        means.append(float(sum(steps) / (knots[-1] - knots[0])))
    return means[0], means[1]


def _merged(points: Points) -> dict[float, float]:
    at: dict[float, list[float]] = {}
    for cost, accuracy in points:
        at.setdefault(cost, []).append(accuracy)
    return {cost: sum(values) / len(values) for cost, values in sorted(at.items())}


def _curves(
    groups: Groups, by_seed: BySeed, cost: CostKind, budgets: Sequence[float]
) -> dict[CellKey, dict[int, list[tuple[float, float]]]]:
    """Return the points of every method by seed, of the seeds that have all budgets; the keys have the budget 0."""
    curves: dict[CellKey, dict[int, list[tuple[float, float]]]] = {}
    for key, accuracies in by_seed.items():
        if key.method != DENSE and key.budget in budgets:
            curve = curves.setdefault(key._replace(budget=0.0), {})
            for seed, accuracy in accuracies.items():
                curve.setdefault(seed, []).append((getattr(groups[key][seed][0], cost), accuracy))
    return {
        key: {seed: points for seed, points in curve.items() if len(points) == len(budgets)}
        for key, curve in curves.items()
    }


def _contrasts(curves: Mapping[CellKey, Mapping[int, Points]], budgets: str, reference: str) -> Iterator[Contrast]:
    for key, theirs in curves.items():
        ours = curves.get(key._replace(method=reference, variant=""))
        if ours is None or key.method == reference:
            continue
        means = {seed: common_means(ours[seed], theirs[seed]) for seed in ours if seed in theirs}
        shared = {seed: found for seed, found in means.items() if found is not None}
        place = {name: value for name, value in key._asdict().items() if name != "budget"} | {"budgets": budgets}
        family = (key.granularity, key.weights, key.target, key.shots)
        first, second = ({seed: found[side] for seed, found in shared.items()} for side in (0, 1))
        yield Contrast(place, first, second, family)
