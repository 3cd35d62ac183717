"""The one comparison: two sides by seed, their paired difference, its interval and tests, corrected within a family.

Whatever is compared in this project (the method under study with its rivals, a control with the grid, inherited with
fresh weights, a variant with its default, twice the training with once) is a list of `Contrast`.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.analysis.intervals import Paired, common_seed_means, holm, joint_half, mean_interval, paired

Mark = Literal["best", "unresolved", ""]


@dataclass(frozen=True)
class Contrast:
    """What is compared: `first` minus `second`, values by seed, at a `place` (fields of the record that comes of it).

    Holm's correction runs over the contrasts of one `family`.
    """

    place: Mapping[str, Any]
    first: Mapping[int, float]
    second: Mapping[int, float]
    family: Hashable = None


@dataclass(frozen=True)
class Comparison:
    """What came out: both means over the common seeds, the difference, the half width of its 95 % interval, tests."""

    contrast: Contrast
    first: float
    second: float
    test: Paired
    p_holm: float | None
    family_size: int

    @property
    def place(self) -> Mapping[str, Any]:
        """The place of the contrast."""
        return self.contrast.place

    @property
    def joint_half(self) -> float | None:
        """The half width at which the intervals of the whole family hold together with 95 %."""
        return joint_half(self.test, self.family_size)

    def record(self, first: str = "", second: str = "", corrected: bool = True, joint: bool = False) -> dict[str, Any]:
        """Return the tidy record; the sides' means are in it where they are given names."""
        levels = {name: value for name, value in ((first, self.first), (second, self.second)) if name}
        test = self.test
        found = {"difference": test.mean, "half": test.half, "seeds": test.n, "p": test.p}
        found |= {"p_holm": self.p_holm} if corrected else {}
        return {**self.place, **levels, **found, **({"joint_half": self.joint_half} if joint else {})}


def compare(contrasts: Iterable[Contrast]) -> list[Comparison]:
    """Compare every contrast whose sides share a seed; the order is that of the families' first members."""
    families: dict[Hashable, list[tuple[Contrast, Paired]]] = {}
    for contrast in contrasts:
        test = paired(contrast.first, contrast.second)
        if test is not None:
            families.setdefault(contrast.family, []).append((contrast, test))
    found = []
    for members in families.values():
        adjusted = holm([test.p for _, test in members])
        for (contrast, test), p_holm in zip(members, adjusted, strict=True):
            first, second = common_seed_means(contrast.first, contrast.second)
            found.append(Comparison(contrast, first, second, test, p_holm, len(members)))
    return found


def records(
    contrasts: Sequence[Contrast], first: str = "", second: str = "", joint: bool = False
) -> list[dict[str, Any]]:
    """Return the tidy record of every contrast, in the order given; nulls where its sides share no seed."""
    made = {id(one.contrast): one for one in compare(contrasts)}
    fields = (first, second, "difference", "half", "seeds", "p", "p_holm", "joint_half" if joint else "")
    nothing = dict.fromkeys(filter(None, fields))
    return [
        made[id(one)].record(first, second, joint=joint) if id(one) in made else {**one.place, **nothing}
        for one in contrasts
    ]


def against_best(candidates: Sequence[Mapping[int, float] | None]) -> list[tuple[Mark, Paired | None]]:
    """Return for each candidate (accuracy by seed, or None) its mark, and the best minus it, paired by seed.

    "best" is the highest mean of all, which is compared with no one. "unresolved": the 95 % interval of the difference
    contains zero, or there is no such interval. Not corrected for the number of candidates: a mark, not a test.
    """
    means = [mean_interval(list(one.values())).mean if one else -math.inf for one in candidates]
    best = max(range(len(candidates)), key=means.__getitem__, default=0)
    contrasts = [Contrast({"at": at}, candidates[best] or {}, one or {}) for at, one in enumerate(candidates)]
    tests = {one.place["at"]: one.test for one in compare(contrasts) if one.place["at"] != best}
    marks: list[tuple[Mark, Paired | None]] = []
    for at, candidate in enumerate(candidates):
        test = tests.get(at)
        lost = not candidate or (test is not None and test.resolved)
        marks.append(("" if lost else "best" if at == best else "unresolved", test))
    return marks


def mark_best(candidates: Sequence[Mapping[int, float] | None]) -> list[Mark]:
    """Return the marks of `against_best` alone."""
    return [mark for mark, _ in against_best(candidates)]


def by_seed(record: Mapping[str, Any], seeds: Sequence[int]) -> dict[int, float]:
    """Return the values of a summary's record by search seed."""
    return {seed: value for seed, value in zip(seeds, record["by_seed"], strict=True) if value is not None}
