"""Intervals, paired tests and areas, with the search seed as the unit of replication.

The k-shot draws of one seed share its architecture, its initial weights and its source training.
They are repeated measurements of one search, not new searches: pooling seeds x draws values as if
they were independent would divide the variance between searches by the number of draws as well,
and give intervals that are too short by up to the square root of that number and tests that
reject too often (pseudo-replication, Hurlbert 1984). So draws are averaged within a seed first, and
everything here works on one value per seed.

Below three seeds there are means only. Two have one degree of freedom, where Student's quantile is 12.7: an interval
of 62 ± 144 points says nothing, and a small p-value there is a matter of two differences that happen to be alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

CONFIDENCE = 0.95
FEWEST = 3  # seeds, for an interval or a test
# Below this a standard deviation of shares is rounding, not spread.
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` seeds and the half width of its 95 % interval (None below `FEWEST` seeds: unknown, not zero)."""

    mean: float
    half: float | None
    n: int


@dataclass(frozen=True)
class Paired:
    """A mean difference over `n` seeds, its interval's half width and the two-sided p-value (None below `FEWEST`)."""

    mean: float
    half: float | None
    n: int
    p: float | None

    @property
    def error(self) -> float | None:
        """The standard error of the mean difference (None below `FEWEST` seeds)."""
        return None if self.half is None else self.half / _quantile(self.n - 1)

    @property
    def resolved(self) -> bool:
        """Whether the 95 % interval of the difference excludes zero."""
        return self.half is not None and abs(self.mean) > self.half


def mean_interval(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with its Student t interval, `len(values) - 1` degrees of freedom."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < FEWEST:
        return Estimate(mean, None, n)
    return Estimate(mean, _quantile(n - 1) * deviation(values) / math.sqrt(n), n)


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Paired | None:
    """Compare two methods seed by seed: the mean of `first - second` over their common seeds, paired t.

    Returns None without a common seed. Differences that do not vary have no t statistic; their
    p-value is the limit: 1 when they are all zero, 0 otherwise.
    """
    differences = [first[seed] - second[seed] for seed in first if seed in second]
    if not differences:
        return None
    estimate = mean_interval(differences)
    return Paired(estimate.mean, estimate.half, estimate.n, _p_value(differences))


def common_seed_means(*sides: Mapping[int, float]) -> list[float]:
    """Return the mean of every side over the seeds that all have; of two sides they differ by the mean of `paired`."""
    common = set.intersection(*(set(side) for side in sides))
    return [mean_interval([side[seed] for seed in common]).mean for side in sides]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's step-down adjusted p-values of one family; a None (untestable) stays None and does not count.

    The k-th smallest of m is multiplied by m - k + 1, made monotone and capped at 1
    (Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = largest
    return adjusted


def area(complexities: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """Return the area under accuracy over log complexity, divided by the log range: a mean accuracy.

    Trapezoids between the achieved complexities (shares in (0, 1], any order); accuracies at the same
    complexity are averaged. None when there are fewer than two different complexities.
    """
    at: dict[float, list[float]] = {}
    for complexity, accuracy in zip(complexities, accuracies, strict=True):
        at.setdefault(complexity, []).append(accuracy)
    if len(at) < 2:
        return None
    points = [(math.log(x), math.fsum(values) / len(values)) for x, values in sorted(at.items())]
    total = math.fsum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))
    return total / (points[-1][0] - points[0][0])


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation (divisor n - 1) of at least two values."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def joint_half(test: Paired, count: int) -> float | None:
    """Return the half width at which `count` intervals hold together with 95 % (Bonferroni; Dunn, JASA 56, 1961).

    Wider than necessary where the comparisons are correlated, as those with one reference are, but exact in needing
    nothing else: with fewer seeds than comparisons their correlation cannot be estimated. None where `test` has no
    interval.
    """
    return None if test.error is None else test.error * _quantile(test.n - 1, count)


def expanded_tail(n: int) -> float:
    """Return the share that a 95 % percentile interval of `n` resampled values leaves out on either side.

    So much that for a mean it is as wide as Student's interval: a resample varies by the root of (n - 1) / n too
    little, and knows nothing of the degrees of freedom (Hesterberg, The American Statistician 69, 2015).
    """
    from scipy.special import ndtr

    return float(ndtr(-math.sqrt(n / (n - 1)) * _quantile(n - 1)))


def _quantile(df: int, count: int = 1) -> float:
    # scipy.special rather than scipy.stats: the same numbers without a second of imports.
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - (1 - CONFIDENCE) / 2 / count))


def _p_value(differences: Sequence[float]) -> float | None:
    from scipy.special import stdtr

    n = len(differences)
    if n < FEWEST:
        return None
    mean = math.fsum(differences) / n
    spread = deviation(differences)
    if spread < _NO_SPREAD:
        return 1.0 if abs(mean) < _NO_SPREAD else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))
