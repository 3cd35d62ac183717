"""Where the noise of a suite comes from: episodes, retrainings or seeds, and what pairing by seed takes out of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.analysis.grid import BySeed
from benchmark.analysis.groups import OVERALL, Groups, mean
from benchmark.analysis.intervals import FEWEST, deviation
from benchmark.analysis.rows import Row
from benchmark.protocol.controls import DENSE


@dataclass(frozen=True)
class Variances:
    """The variance of one seed's accuracy, and its parts from episodes and retrainings; None: not to be told apart.

    What is left of `total` is the seeds' own: another search, another source training.
    """

    total: float
    episodes: float | None
    retrainings: float | None


def pairing(by_seed: BySeed, reference: str, headline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what pairing with the reference by seed is worth, by granularity and method, where the headline is.

    `correlation` is pooled over budgets: the sum of covariances by the root of the product of the sums of variances.
    `variance` is that of paired differences over that of unpaired ones: below 1 pairing helps, above it harms.
    """
    pairs: dict[tuple[str, str], list[tuple[Mapping[int, float], Mapping[int, float]]]] = {}
    place = (headline["weights"], headline["target"], headline["shots"])
    for key, theirs in by_seed.items():
        ours = by_seed.get(key._replace(method=reference, variant=""))
        here = (key.weights, key.target, key.shots) == place and not key.variant
        if ours and here and key.method not in (reference, DENSE):
            pairs.setdefault((key.granularity, key.method), []).append((ours, theirs))
    records = []
    for (granularity, method), found in pairs.items():
        if (values := pooled(found)) is not None:
            correlation, variance = values
            records.append(
                {"granularity": granularity, "method": method, "correlation": correlation, "variance": variance}
            )
    return records


def pooled(pairs: Iterable[tuple[Mapping[int, float], Mapping[int, float]]]) -> tuple[float, float] | None:
    """Return the pooled correlation of pairs of values by seed, and their variance paired over unpaired.

    Of the pairs that share at least `FEWEST` seeds; None without such pairs, or where a side does not vary.
    """
    first = second = both = 0.0
    for ours, theirs in pairs:
        seeds = [seed for seed in ours if seed in theirs]
        if len(seeds) >= FEWEST:
            a, b = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
            first += deviation(a) ** 2
            second += deviation(b) ** 2
            both += math.fsum((x - mean(a)) * (y - mean(b)) for x, y in zip(a, b, strict=True)) / (len(seeds) - 1)
    if not first or not second:
        return None
    return both / math.sqrt(first * second), 1 - 2 * both / (first + second)


def sources(groups: Groups, weights: str, shots: int) -> list[dict[str, Any]]:
    """Return the parts of the variance of a seed's accuracy by granularity, target and method, as shares of it.

    Default variants in one weights mode and number of shots; variances are averaged over budgets. `sd` is the root of
    the whole. `retrainings` is None with one retraining per seed: it is then in `seeds`, as `episodes` is
    where a row has one episode of a single draw. A part can be estimated as larger than the whole; it counts as 1.
    """
    found: dict[tuple[str, str, str], list[Variances]] = {}
    for key, seeds in groups.items():
        here = (key.weights, key.shots, key.variant) == (weights, shots, "") and key.target != OVERALL
        if here and (variances := split(seeds)) is not None:
            found.setdefault((key.granularity, key.target, key.method), []).append(variances)
    records = []
    for (granularity, target, method), members in found.items():
        total = mean(one.total for one in members)
        if total:
            parts = {
                "episodes": _share([one.episodes for one in members], total),
                "retrainings": _share([one.retrainings for one in members], total),
            }
            seeds_own = max(0.0, 1 - sum(part or 0.0 for part in parts.values()))
            place = {"granularity": granularity, "target": target, "method": method}
            records.append({**place, "sd": math.sqrt(total), **parts, "seeds": seeds_own})
    return records


def split(seeds: Mapping[int, Sequence[Row]]) -> Variances | None:
    """Split the variance of a seed's mean accuracy by a two-way analysis of variance, retrainings by draws, per seed.

    The draws are the same episodes for every retraining, so the mean over both has the variance v(draws) +
    v(retrainings) - v(residual), each that of the mean. Rows that are themselves means over episodes (one draw) have
    their `episode_sd` in the place of v(draws). None below `FEWEST` seeds, or where a retraining lacks a draw.
    """
    tables = [_table(rows) for rows in seeds.values()]
    if len(tables) < FEWEST or any(len({len(line) for line in table}) > 1 for table in tables):
        return None
    total = deviation([mean(row.accuracy for line in table for row in line) for table in tables]) ** 2
    episodes = [_episodes(table) for table in tables]
    retrainings = [_retrainings(table) for table in tables]
    return Variances(total, _mean(episodes), _mean(retrainings))


def _table(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of a seed: a line per retraining, a column per draw."""
    lines: dict[int, dict[int, Row]] = {}
    for row in rows:
        lines.setdefault(row.retraining, {})[row.draw] = row
    return [[line[draw] for draw in sorted(line)] for _, line in sorted(lines.items())]


def _episodes(table: Sequence[Sequence[Row]]) -> float | None:
    draws = len(table[0])
    if draws > 1:
        return deviation([mean(row.accuracy for row in column) for column in zip(*table, strict=True)]) ** 2 / draws
    found = [row.episode_sd**2 / row.episodes for (row,) in table if row.episode_sd is not None and row.episodes > 1]
    return mean(found) if len(found) == len(table) else None


def _retrainings(table: Sequence[Sequence[Row]]) -> float | None:
    """The variance that retrainings add to the mean, without what the draws leave in it; never below zero."""
    count, draws = len(table), len(table[0])
    if count < 2:
        return None
    lines = [mean(row.accuracy for row in line) for line in table]
    own = deviation(lines) ** 2 / count
    if draws > 1:
        columns = [mean(row.accuracy for row in column) for column in zip(*table, strict=True)]
        whole = mean(lines)
        rest = math.fsum(
            (row.accuracy - lines[r] - columns[d] + whole) ** 2
            for r, line in enumerate(table)
            for d, row in enumerate(line)
        )
        own -= rest / ((count - 1) * (draws - 1)) / (count * draws)
    return max(0.0, own)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None


def _share(variances: Sequence[float | None], total: float) -> float | None:
    found = _mean(variances)
    return None if found is None else min(1.0, found / total)
