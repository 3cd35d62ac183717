"""The combinations a suite should contain, from its parameters, and the rows that are absent."""

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

from benchmark.config.params import Params, SuiteConfig
from benchmark.protocol.controls import DENSE


class CellKey(NamedTuple):
    """What one accuracy of the tables is about; seeds and draws are its replicates."""

    granularity: str
    method: str
    variant: str
    weights: str
    target: str
    budget: float
    shots: int


BySeed = Mapping[CellKey, Mapping[int, float]]


def methods_of(params: Params, suite: str) -> list[str]:
    """Return the methods that run in `suite`, in the order of params.yaml."""
    return params.methods_of(suite)


def variants_of(params: Params, suite: str, method: str, granularity: str) -> list[str]:
    """Return the variants of `method` that run in `suite` at `granularity`; "" (the default) is the first."""
    wanted = {name: params.method(method).variants[name].granularities for name in params.variants_of(suite, method)}
    return ["", *(name for name, served in wanted.items() if served is None or granularity in served)]


def expected(params: Params, suite: str) -> Iterator[CellKey]:
    """Yield every combination that params.yaml asks for; the dense control has the one budget 1."""
    config = params.suites[suite]
    for granularity in config.grid.granularities:
        for method in methods_of(params, suite):
            budgets = [1.0] if method == DENSE else sorted(config.grid.budgets, reverse=True)
            for variant in variants_of(params, suite, method, granularity):
                for weights in config.transfer.weights:
                    for target in config.data.targets:
                        for budget in budgets:
                            for shots in config.shots(target):
                                yield CellKey(granularity, method, variant, weights, target.label, budget, shots)


def replicates(config: SuiteConfig, target: str, weights: str) -> int:
    """Return how many accuracies a seed has at one place: its draws, for each retraining where weights are new."""
    draws = {one.label: config.draws(one) for one in config.data.targets}[target]
    return draws * (1 if weights == "inherit" else config.transfer.retrainings)


def missing(params: Params, suite: str, present: Mapping[CellKey, Mapping[int, Set[int]]]) -> list[dict[str, Any]]:
    """List the absent rows by (granularity, method, variant, weights).

    `present` maps a combination to the draws of each seed. An entry counts `absent` of `expected` rows; `cells`
    names them one by one, and is empty when all are absent (a method that returns no weights of its own has
    no `inherit` rows).
    """
    config = params.suites[suite]
    groups: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for key in expected(params, suite):
        group = groups.setdefault(key[:4], {"absent": 0, "expected": 0, "cells": []})
        for seed in config.grid.seeds:
            found = present.get(key, {}).get(seed, frozenset())
            count = replicates(config, key.target, key.weights)
            draws = [draw for draw in range(count) if draw not in found]
            group["expected"] += count
            group["absent"] += len(draws)
            if draws:
                where = {"target": key.target, "budget": key.budget, "shots": key.shots}
                group["cells"].append({**where, "seed": seed, "draws": draws})
    names = ("granularity", "method", "variant", "weights")
    return [
        {
            **dict(zip(names, key, strict=True)),
            **group,
            "cells": [] if group["absent"] == group["expected"] else group["cells"],
        }
        for key, group in groups.items()
        if group["absent"]
    ]
