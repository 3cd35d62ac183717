"""Ranks of methods over the places of a suite, with bootstrap intervals over seeds."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.intervals import expanded_tail
from benchmark.analysis.rules import is_rival

FEWEST = 5  # seeds: three have ten different resamples
RESAMPLES = 5000
SEED = 20210704  # of the generator of resamples: any number, but always the same
Values = Mapping[Hashable, Mapping[Hashable, Mapping[int, float]]]


def rank_records(
    cells: Iterable[Mapping[str, Any]], granularities: Sequence[str], weights: str
) -> list[dict[str, Any]]:
    """Return the ranks of the rivals by granularity, over all targets, shots and budgets in one weights mode."""
    records = []
    entered = [c for c in cells if c["weights"] == weights and c["target"] != OVERALL and is_rival(c)]
    for granularity in granularities:
        values: dict[Hashable, dict[Hashable, Mapping[int, float]]] = {}
        for cell in (cell for cell in entered if cell["granularity"] == granularity):
            accuracies = {seed: value for seed, value in enumerate(cell["by_seed"]) if value is not None}
            places = values.setdefault((cell["method"], cell["variant"]), {})
            places[cell["target"], cell["shots"], cell["budget"]] = accuracies
        for record in ranks(values, np.random.default_rng(SEED)):
            method, variant = record.pop("method")
            records.append({"granularity": granularity, "method": method, "variant": variant, **record})
    return records


def ranks(values: Values, generator: np.random.Generator, resamples: int = RESAMPLES) -> list[dict[str, Any]]:
    """Return each method's mean rank over places (1 is the best), by rising rank; ties share their mean rank.

    `values` are accuracies by method, place and seed. Places are those that any method has; a method that lacks one is
    left out, and so is a seed that a method lacks somewhere. `low` and `high` are the ends of the expanded percentile
    interval over resamples of the seeds, the same for all methods: the usual one is too short for few (Hesterberg,
    The American Statistician 69, 2015). `apart`: whether the interval of the method's rank minus the best's excludes
    zero; not corrected for the number of methods. With fewer than `FEWEST` seeds there are no intervals and nothing is
    told apart.
    """
    places = list(dict.fromkeys(place for found in values.values() for place in found))
    methods = [method for method, found in values.items() if places and len(found) == len(places)]
    if len(methods) < 2:
        return []
    seeds = sorted(set.intersection(*(set(values[method][place]) for method in methods for place in places)))
    if not seeds:
        return []
    table = np.array([[[values[m][place][seed] for seed in seeds] for place in places] for m in methods])
    mean = _mean_ranks(table.mean(axis=2))
    best = int(mean.argmin())
    drawn = None
    if len(seeds) >= FEWEST:
        picks = generator.integers(len(seeds), size=(resamples, len(seeds)))
        drawn = np.array([_mean_ranks(table[:, :, pick].mean(axis=2)) for pick in picks])
    records = []
    for index in np.argsort(mean, kind="stable"):
        low = high = None
        behind = 0.0
        if drawn is not None:
            low, high = _interval(drawn[:, index], len(seeds))
            behind, _ = _interval(drawn[:, index] - drawn[:, best], len(seeds))
        records.append(
            {
                "method": methods[index],
                "rank": float(mean[index]),
                "low": low,
                "high": high,
                "apart": bool(behind > 0),
                "places": len(places),
                "seeds": len(seeds),
            }
        )
    return records


def place_ranks(means: np.ndarray) -> np.ndarray:
    """Return the ranks of methods (rows) within every place (column): above me, plus half of those level with me.

    `means` are accuracies [..., method, place].
    """
    mine, other = means[..., :, None, :], means[..., None, :, :]
    above, level = (other > mine).sum(axis=-2), (other == mine).sum(axis=-2)
    result: np.ndarray = above + (level + 1) / 2
    return result


def _mean_ranks(means: np.ndarray) -> np.ndarray:
    result: np.ndarray = place_ranks(means).mean(axis=1)
    return result


def _interval(values: np.ndarray, seeds: int) -> tuple[float, float]:
    tail = expanded_tail(seeds)
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
