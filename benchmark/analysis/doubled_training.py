"""The control for the length of source training: the dense model beside the same one trained twice as long."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.analysis.comparisons import Contrast, compare
from benchmark.analysis.groups import Groups, mean, target_mean
from benchmark.analysis.rows import Row

SOURCE = "source"


def doubled_training(once: Groups, doubled: Groups) -> list[dict[str, Any]]:
    """Return what the dense control gains from twice the steps on the source; empty without the control `twice`.

    A record for the source's test part (`on` is "source", `shots` null), then one per target and number of shots (`on`
    is "target"). `once` and `doubled` are the rows of the grid and of the control. The dense control is the same
    network at every granularity, so the first that has rows stands for all.
    """
    found = compare(_contrasts(once, doubled))
    return [one.record("twice", "dense", corrected=False) for one in found]


def _contrasts(once: Groups, doubled: Groups) -> Iterator[Contrast]:
    keys = [key for key in doubled if key.granularity == next(iter(doubled)).granularity and key in once]
    for key in keys[:1]:
        yield Contrast({"on": SOURCE, "target": "", "shots": None}, _source(doubled[key]), _source(once[key]))
    for key in keys:
        place = {"on": "target", "target": key.target, "shots": key.shots}
        yield Contrast(place, _accuracy(doubled[key]), _accuracy(once[key]))


def _accuracy(seeds: Mapping[int, list[Row]]) -> dict[int, float]:
    return {seed: target_mean(rows, lambda row: row.accuracy) for seed, rows in seeds.items()}


def _source(seeds: Mapping[int, list[Row]]) -> dict[int, float]:
    # A property of the source training, so the same in every row of a seed.
    found = {s: [row.source_accuracy for row in rows if row.source_accuracy is not None] for s, rows in seeds.items()}
    return {seed: mean(values) for seed, values in found.items() if values}
