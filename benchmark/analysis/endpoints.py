"""The primary endpoints of a suite: the differences that params.yaml names before the first row exists."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.analysis.comparisons import Contrast, records
from benchmark.analysis.grid import CellKey
from benchmark.analysis.groups import Groups, group, mean, target_mean
from benchmark.analysis.rows import Row
from benchmark.analysis.slices import Slice, sliced
from benchmark.config.params import Endpoint, Params, SuiteConfig
from benchmark.protocol.controls import DENSE


def endpoints(params: Params, suite: str, rows: Mapping[Path, list[Row]]) -> list[dict[str, Any]]:
    """Return the test of every primary endpoint of a suite, over all of its costs and measures.

    One number per seed and side; a seed counts if it has every accuracy that the endpoint asks for, on both sides.
    Holm's correction, and the joint interval (`joint_half`), run over all primary endpoints together. One whose sides
    share no seed is listed with its difference null.
    """
    numbers = range(len(params.suites[suite].primary))
    contrasts = [_contrast(params, suite, number, rows) for number in numbers]
    return records(contrasts, "first_mean", "second_mean", joint=True)


def _contrast(params: Params, suite: str, number: int, rows: Mapping[Path, list[Row]]) -> Contrast:
    config = params.suites[suite]
    endpoint = config.primary[number]
    narrow = sliced(params, suite, Slice(endpoint.cost, endpoint.measure))
    groups, _ = group(narrow, suite, rows)
    first, second = endpoint.contrast
    place: dict[str, Any] = {"endpoint": number, "first": first, "second": second}
    place |= {"granularity": _granularity(endpoint, config), "weights": endpoint.weights}
    place |= {"cost": endpoint.cost, "measure": endpoint.measure, "targets": endpoint.targets}
    place |= {"shots": endpoint.shots, "budgets": endpoint.budgets}
    return Contrast(place, _by_seed(groups, first, endpoint, config), _by_seed(groups, second, endpoint, config))


def _by_seed(groups: Groups, side: str, endpoint: Endpoint, config: SuiteConfig) -> dict[int, float]:
    members = [groups.get(key, {}) for key in _asked(side, endpoint, config)]
    seeds = [seed for seed in members[0] if all(seed in member for member in members)] if members else []
    return {s: mean(target_mean(member[s], lambda row: row.accuracy) for member in members) for s in seeds}


def _asked(side: str, endpoint: Endpoint, config: SuiteConfig) -> Iterator[CellKey]:
    method, _, variant = side.partition("+")
    shots_on = {target.label: config.shots(target) for target in config.data.targets}
    labels = list(shots_on) if endpoint.targets == "mean" else endpoint.targets
    for budget in [1.0] if method == DENSE else endpoint.budgets:
        for shots in endpoint.shots:
            for label in labels:
                # The mean over targets is over those that have the shots.
                if shots in shots_on[label]:
                    place = (_granularity(endpoint, config), method, variant, endpoint.weights)
                    yield CellKey(*place, label, budget, shots)


def _granularity(endpoint: Endpoint, config: SuiteConfig) -> str:
    return endpoint.granularity or config.grid.granularities[0]
