"""The control for the length of source training: the dense model beside the same one trained twice as long."""

from collections.abc import Mapping
from typing import Any

from benchmark.analysis.groups import Groups, mean, target_mean
from benchmark.analysis.intervals import levels, paired
from benchmark.analysis.rows import Row

SOURCE = "source"


def twice(once: Groups, doubled: Groups) -> list[dict[str, Any]]:
    """Return what the dense control gains from twice the steps on the source, paired by seed; empty without the arm.

    A record for the source's test part (`on` is "source", `shots` null), then one per target and number of shots (`on`
    is "target"). `once` and `doubled` are the rows of the grid and of the arm. The dense control is the same network at
    every granularity, so the first that has rows stands for all.
    """
    records: list[dict[str, Any]] = []
    first = next(iter(doubled), None)
    for key, seeds in doubled.items():
        if first is None or key.granularity != first.granularity or key not in once:
            continue
        if not records:
            records += _record({"on": SOURCE, "target": "", "shots": None}, _source(once[key]), _source(seeds))
        where = {"on": "target", "target": key.target, "shots": key.shots}
        records += _record(where, _accuracy(once[key]), _accuracy(seeds))
    return records


def _record(where: dict[str, Any], once: Mapping[int, float], doubled: Mapping[int, float]) -> list[dict[str, Any]]:
    gain = paired(doubled, once)
    if gain is None:
        return []
    means = levels(dense=once, twice=doubled)
    return [{**where, **means, "difference": gain.mean, "half": gain.half, "seeds": gain.n, "p": gain.p}]


def _accuracy(seeds: Mapping[int, list[Row]]) -> dict[int, float]:
    return {seed: target_mean(rows, lambda row: row.accuracy) for seed, rows in seeds.items()}


def _source(seeds: Mapping[int, list[Row]]) -> dict[int, float]:
    # A property of the source training, so the same in every row of a seed.
    found = {s: [row.source_accuracy for row in rows if row.source_accuracy is not None] for s, rows in seeds.items()}
    return {seed: mean(values) for seed, values in found.items() if values}
