"""The combinations a suite should contain, from its parameters, and the rows that are absent."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from benchmark.config import Params, SuiteConfig

DENSE = "dense"


class CellKey(NamedTuple):
    """What one accuracy of the tables is about; seeds and draws are its replicates."""

    granularity: str
    method: str
    variant: str
    weights: str
    target: str
    budget: float
    shots: int


def methods_of(params: Params, suite: str) -> list[str]:
    """Return the methods that run in `suite`, in the order of params.yaml."""
    return [method for method in params.run.methods if method in params.suites[suite].methods]


def variants_of(params: Params, method: str, granularity: str) -> list[str]:
    """Return the variants of `method` at `granularity`; "" (the default) is the first."""
    variants = params.methods[method].variants.items()
    return ["", *(name for name, v in variants if v.granularities is None or granularity in v.granularities)]


def expected(params: Params, suite: str) -> Iterator[CellKey]:
    """Yield every combination that params.yaml asks for; the dense control has the one budget 1."""
    config = params.suites[suite]
    for granularity in config.grid.granularities:
        for method in methods_of(params, suite):
            budgets = [1.0] if method == DENSE else sorted(config.grid.budgets, reverse=True)
            for variant in variants_of(params, method, granularity):
                for weights in config.transfer.weights:
                    for target in config.data.targets:
                        for budget in budgets:
                            for shots in sorted(config.transfer.shots):
                                yield CellKey(granularity, method, variant, weights, target.label, budget, shots)


def missing(
    params: Params, suite: str, present: Mapping[CellKey, Mapping[int, Mapping[int, float]]]
) -> list[dict[str, Any]]:
    """List the absent rows by (granularity, method, variant, weights).

    `present` maps a combination to accuracy[seed][draw]. An entry counts `absent` of `expected` rows; `cells`
    names them one by one, and is empty when all are absent (a method that returns no weights of its own has
    no `inherit` rows).
    """
    config: SuiteConfig = params.suites[suite]
    groups: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for key in expected(params, suite):
        group = groups.setdefault(key[:4], {"absent": 0, "expected": 0, "cells": []})
        found = present.get(key, {})
        for seed in config.grid.seeds:
            draws = [draw for draw in range(config.transfer.draws) if draw not in found.get(seed, {})]
            group["expected"] += config.transfer.draws
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
