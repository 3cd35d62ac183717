"""What raw pixels give on the same episodes: the floors that a network must beat."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.analysis.groups import OVERALL, mean
from benchmark.analysis.intervals import mean_interval
from benchmark.analysis.result_files import Floor, FloorsFile, read_part


def floors(path: Path, seeds: Sequence[int], shots_on: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Return what raw pixels give, by measure, target and number of shots: mean over seeds; also over all targets.

    Reads floors.json of a suite's results; none where there is no such file. `measure` is nearest (class mean) or probe
    (logistic regression): both are floors of every measure of a network. `by_seed` goes along `seeds`. There is a Top-5
    accuracy where the suite asks for it.
    """
    if not path.exists():
        return []
    entries = [
        entry
        for entry in read_part(path, FloorsFile)[0].floors
        if entry.seed in seeds and entry.shots in shots_on.get(entry.target, ())
    ]
    first = _by_place([(entry, entry.accuracy) for entry in entries], seeds, shots_on)
    five = _by_place([(entry, entry.top5) for entry in entries if entry.top5 is not None], seeds, shots_on)
    return [
        {
            **{"target": target, "shots": shots, "measure": measure},
            **_estimate(by_seed, seeds),
            **_top5(five.get((measure, target, shots))),
        }
        for (measure, target, shots), by_seed in first.items()
        if by_seed
    ]


def _by_place(
    known: Sequence[tuple[Floor, float]], seeds: Sequence[int], shots_on: Mapping[str, Sequence[int]]
) -> dict[tuple[str, str, int], dict[int, float]]:
    """The values by seed of every measure, target and number of shots, also in the mean over targets."""
    found: dict[tuple[str, str, int], dict[int, float]] = {}
    for entry, value in known:
        found.setdefault((entry.measure, entry.target, entry.shots), {})[entry.seed] = value
    for measure, shots in sorted({(measure, shots) for measure, _, shots in found}):
        # As for the methods: over all targets that have the shots, and the seeds that all of these have.
        members = [found.get((measure, target, shots), {}) for target, numbers in shots_on.items() if shots in numbers]
        if len(members) > 1:
            shared = [seed for seed in seeds if all(seed in member for member in members)]
            found[measure, OVERALL, shots] = {seed: mean(member[seed] for member in members) for seed in shared}
    return found


def _estimate(by_seed: Mapping[int, float], seeds: Sequence[int]) -> dict[str, Any]:
    estimate = mean_interval(list(by_seed.values()))
    values = [by_seed.get(seed) for seed in seeds]
    return {"accuracy": estimate.mean, "half": estimate.half, "seeds": estimate.n, "by_seed": values}


def _top5(by_seed: Mapping[int, float] | None) -> dict[str, Any]:
    if not by_seed:
        return {}
    estimate = mean_interval(list(by_seed.values()))
    return {"top5": estimate.mean, "top5_half": estimate.half}
