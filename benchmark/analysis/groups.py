"""Result rows by the place in the tables they belong to, and the mean over the targets of a suite."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmark.analysis.grid import CellKey, expected
from benchmark.analysis.rows import Row
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.protocol import controls

# Stands where a target's label stands; no label has a space, so none can be taken for it.
OVERALL = "mean over targets"
Groups = dict[CellKey, dict[int, list[Row]]]


def group(params: Params, suite: str, files: Mapping[Path, Iterable[Row]], arm: str = "") -> tuple[Groups, int]:
    """Return the rows of an arm ("": the grid) by combination and seed, and how many params.yaml does not ask for.

    Combinations come in the order of `expected`, those without rows are left out. Other arms' rows are passed over.
    `BenchError` when a row is given twice.
    """
    config = params.suites[suite]
    draws = {target.label: config.draws(target) for target in config.data.targets}
    groups: Groups = {key: {} for key in expected(params, suite) if not arm or _armed(arm, key)}
    unasked = 0
    for path, rows in files.items():
        for row in (row for row in rows if row.arm == arm):
            key = CellKey(row.granularity, row.method, row.variant, row.weights, row.target, row.budget, row.shots)
            if (row.cost, row.measure) != (config.grid.costs[0], config.transfer.first_measure):
                continue  # of another slice
            asked = row.suite == suite and row.seed in config.grid.seeds
            if not asked or key not in groups or row.draw >= draws[row.target]:
                unasked += 1
                continue
            found = groups[key].setdefault(row.seed, [])
            if any((other.draw, other.retraining) == (row.draw, row.retraining) for other in found):
                raise BenchError(f"{path}: {_named(row)} is given twice; recompute the file")
            found.append(row)
    return {key: dict(sorted(seeds.items())) for key, seeds in groups.items() if seeds}, unasked


def _armed(arm: str, key: CellKey) -> bool:
    return key.weights == controls.WEIGHTS and controls.concerns(arm, key.method, key.variant, key.granularity)


def overall(groups: Groups, shots_on: Mapping[str, Iterable[int]]) -> Groups:
    """Return the rows of all targets together, with `OVERALL` as the target.

    Per number of shots, over the targets that have it (`shots_on`), if two or more do; only the seeds that all of these
    have, so that every seed's mean is over the same targets.
    """
    sharing: dict[int, list[str]] = {}
    for target, numbers in shots_on.items():
        for shots in numbers:
            sharing.setdefault(shots, []).append(target)
    found: Groups = {}
    for key in groups:
        place = key._replace(target=OVERALL)
        members = [groups.get(key._replace(target=target), {}) for target in sharing[key.shots]]
        seeds = [seed for seed in members[0] if all(seed in member for member in members)]
        if len(members) > 1 and seeds and place not in found:
            found[place] = {seed: [row for member in members for row in member[seed]] for seed in seeds}
    return found


def target_mean(rows: Iterable[Row], value: Callable[[Row], float]) -> float:
    """Return the mean of `value` over rows, every target counting the same."""
    return mean(mean(map(value, found)) for found in by_target(rows))


def by_target(rows: Iterable[Row]) -> list[list[Row]]:
    """Return the rows of each target."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.target, []).append(row)
    return list(found.values())


def mean(values: Iterable[float]) -> float:
    """Return the mean of at least one value."""
    collected = list(values)
    return math.fsum(collected) / len(collected)


def _named(row: Row) -> str:
    arm = f", arm {row.arm}" if row.arm else ""
    place = f"{row.variant or 'default'} {row.granularity} {row.budget} {row.weights} {row.target}"
    return f"{place}, {row.shots} shots, seed {row.seed}, draw {row.draw}{arm}"
