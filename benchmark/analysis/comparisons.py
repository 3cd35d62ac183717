"""The one comparison: two sides by seed, their paired difference, its interval and tests, corrected within a family.

Whatever is compared in this project (the method under study with its rivals, a control with the grid, inherited with
fresh weights, a variant with its default, twice the training with once) is a list of `Contrast`.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.analysis.intervals import Paired, common_seed_means, holm, joint_half, paired


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

    place: Mapping[str, Any]
    first: float
    second: float
    test: Paired
    p_holm: float | None
    family: Hashable
    family_size: int

    @property
    def joint_half(self) -> float | None:
        """The half width at which the intervals of the whole family hold together with 95 %."""
        return joint_half(self.test, self.family_size)

    def record(self, first: str = "", second: str = "", corrected: bool = True) -> dict[str, Any]:
        """Return the tidy record; the sides' means are in it where they are given names."""
        levels = {name: value for name, value in ((first, self.first), (second, self.second)) if name}
        test = self.test
        found = {"difference": test.mean, "half": test.half, "seeds": test.n, "p": test.p}
        return {**self.place, **levels, **found, **({"p_holm": self.p_holm} if corrected else {})}


def compare(contrasts: Iterable[Contrast]) -> list[Comparison]:
    """Compare every contrast whose sides share a seed; the order is that of the families' first members."""
    families: dict[Hashable, list[tuple[Contrast, Paired]]] = {}
    for contrast in contrasts:
        test = paired(contrast.first, contrast.second)
        if test is not None:
            families.setdefault(contrast.family, []).append((contrast, test))
    found = []
    for family, members in families.items():
        adjusted = holm([test.p for _, test in members])
        for (contrast, test), p_holm in zip(members, adjusted, strict=True):
            first, second = common_seed_means(contrast.first, contrast.second)
            found.append(Comparison(contrast.place, first, second, test, p_holm, family, len(members)))
    return found
