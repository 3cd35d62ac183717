"""Ranks of methods over suites: every task counts the same, intervals are over seeds and tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.intervals import expanded_tail
from benchmark.analysis.ranks import FEWEST, SEED, place_ranks
from benchmark.analysis.rules import Method, is_rival

RESAMPLES = 1000
YARDSTICKS: tuple[Method, ...] = (("uniform", ""), ("flat", ""))  # what a method has to be above to be worth its search
Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A suite at one granularity: accuracies [method, place, seed], and the task of every place.

    `lacking`: the rivals that are not in it, since they have no accuracy at some place.
    """

    suite: str
    methods: list[Method]
    tasks: list[str]
    values: np.ndarray
    lacking: list[Method]

    def only(self, methods: Sequence[Method]) -> "Table":
        """Return the table of these methods, in this order."""
        rows = [self.methods.index(method) for method in methods]
        return replace(self, methods=list(methods), values=self.values[rows])


def leaderboard(summaries: Sequence[Summary], resamples: int = RESAMPLES) -> list[dict[str, Any]]:
    """Return each method's mean rank (1 is the best) over the suites' tasks, by granularity and rising rank.

    A task is a target: places of one target (shots, budgets, the suites that share it) are averaged first, so that a
    suite of many budgets does not count for more. Rivals (`is_rival`), weights mode of each suite's headline. Suites
    with fewer than `FEWEST` seeds are left out, and so is a rival that any of the others lacks somewhere: `left_out`
    has [method, variant] of these. `low` and `high` are the ends of the expanded percentile interval
    (`benchmark.analysis.ranks`) over resamples of the seeds within suites and, from `FEWEST` tasks on, of the tasks.
    `apart`: the interval of the method's rank minus the best's excludes zero. `wins`: share of places where it is above
    each of `YARDSTICKS` that is there, ties counting half.
    """
    granularities = dict.fromkeys(g for summary in summaries for g in summary["axes"]["granularities"])
    records = []
    for granularity in granularities:
        tables = [found for summary in summaries if (found := table(summary, granularity))]
        records += [{"granularity": granularity, **record} for record in _ranked(tables, resamples)]
    return records


def table(summary: Summary, granularity: str) -> Table | None:
    """Return the suite's table; None with fewer than `FEWEST` seeds that all have, or fewer than two methods."""
    found: dict[Method, dict[tuple[str, int, float], list[float | None]]] = {}
    for cell in summary["cells"]:
        here = (cell["granularity"], cell["weights"]) == (granularity, summary["headline"]["weights"])
        if here and cell["target"] != OVERALL and is_rival(cell):
            place = (cell["target"], cell["shots"], cell["budget"])
            found.setdefault((cell["method"], cell["variant"]), {})[place] = cell["by_seed"]
    places = list(dict.fromkeys(place for cells in found.values() for place in cells))
    methods = [method for method, cells in found.items() if len(cells) == len(places)]
    if len(methods) < 2:
        return None
    values = np.array([[found[method][place] for place in places] for method in methods], dtype=float)
    values = values[:, :, ~np.isnan(values).any(axis=(0, 1))]
    if values.shape[2] < FEWEST:
        return None
    lacking = [method for method in found if method not in methods]
    return Table(summary["suite"], methods, [target for target, *_ in places], values, lacking)


def _ranked(tables: Sequence[Table], resamples: int) -> list[dict[str, Any]]:
    if not tables:
        return []
    methods = [m for m in tables[0].methods if all(m in one.methods for one in tables)]
    if len(methods) < 2:
        return []
    known = dict.fromkeys(m for one in tables for m in (*one.methods, *one.lacking))
    left_out = [list(m) for m in known if m not in methods]
    tables = [one.only(methods) for one in tables]
    tasks = list(dict.fromkeys(task for one in tables for task in one.tasks))
    mean = _by_task(tables, tasks, [one.values.mean(axis=2) for one in tables]).mean(axis=1)
    drawn = _resampled(tables, tasks, resamples)
    best = int(mean.argmin())
    units = [one.values.shape[2] for one in tables] + ([len(tasks)] if len(tasks) >= FEWEST else [])
    tail = expanded_tail(min(units))
    records = []
    for index in np.argsort(mean, kind="stable"):
        low, high = np.quantile(drawn[:, index], [tail, 1 - tail])
        behind = float(np.quantile(drawn[:, index] - drawn[:, best], tail))
        records.append(
            {
                "method": methods[index][0],
                "variant": methods[index][1],
                "rank": float(mean[index]),
                "low": float(low),
                "high": float(high),
                "apart": behind > 0,
                "wins": {y[0]: _wins(tables, methods[index], y) for y in YARDSTICKS if y in methods},
                "tasks": len(tasks),
                "tasks_resampled": len(tasks) >= FEWEST,
                "places": sum(len(one.tasks) for one in tables),
                "suites": [one.suite for one in tables],
                "left_out": left_out,
            }
        )
    return records


def _resampled(tables: Sequence[Table], tasks: Sequence[str], resamples: int) -> np.ndarray:
    """Return mean ranks [resample, method]: how often a seed or task is drawn is its weight."""
    generator = np.random.default_rng(SEED)

    def weights(count: int) -> np.ndarray:
        return generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count

    means = [np.einsum("mps,rs->rmp", one.values, weights(one.values.shape[2])) for one in tables]
    ranks = _by_task(tables, tasks, means)
    if len(tasks) < FEWEST:
        return ranks.mean(axis=-1)
    drawn: np.ndarray = np.einsum("rmt,rt->rm", ranks, weights(len(tasks)))
    return drawn


def _by_task(tables: Sequence[Table], tasks: Sequence[str], means: Sequence[np.ndarray]) -> np.ndarray:
    """Return mean ranks [..., method, task] over the places of each task in all suites."""
    ranks = np.concatenate([place_ranks(one) for one in means], axis=-1)
    places = np.array([tasks.index(task) for one in tables for task in one.tasks])
    return np.stack([ranks[..., places == task].mean(axis=-1) for task in range(len(tasks))], axis=-1)


def _wins(tables: Sequence[Table], method: Method, other: Method) -> float | None:
    """Return the share of places where the method's mean is above the other's; None against itself."""
    if method == other:
        return None
    scores = []
    for one in tables:
        first, second = (one.values[one.methods.index(name)].mean(axis=1) for name in (method, other))
        scores.append((first > second) + 0.5 * (first == second))
    return float(np.concatenate(scores).mean())
