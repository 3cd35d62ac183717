"""Elastic widths and depths: an architecture as how many of each group's units it keeps, always the first ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.pruning.importance import ranks
from benchmark.space import SearchSpace

# Those of Dong & Yang 2019 begin at 0.3, which leaves budgets below 9 % out of reach; the smaller ones are ours.
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Choices:
    """What every group may keep: `counts[g]` are the numbers of units that group g chooses from, ascending.

    Of blocks every number is a choice. An architecture is a vector of levels, int64 [groups], level l of group g being
    `counts[g][l]` units. Units are kept from the first on, so the widths and depths are the architecture.
    """

    space: SearchSpace
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, space: SearchSpace, shares: Sequence[float] = SHARES) -> "Choices":
        """Return the choices at these shares of a group's units, rounded down to at least one, duplicates dropped."""
        counts = []
        for group in space.groups:
            if space.offsets[group.name].start < len(space.blocks):
                counts.append(tuple(range(1, group.size + 1)))
            else:
                # 1e-9 keeps a product like 0.7 * 10 from falling below the whole number that it is.
                counts.append(tuple(sorted({max(1, int(share * group.size + 1e-9)) for share in shares})))
        return cls(space, tuple(counts))

    @property
    def levels(self) -> Tensor:
        """The number of choices of every group, int64 [groups]."""
        return torch.tensor([len(counts) for counts in self.counts])

    def kept(self, levels: Tensor) -> list[int]:
        """Return the units that every group keeps."""
        return [counts[level] for counts, level in zip(self.counts, levels.tolist(), strict=True)]

    def mask(self, levels: Tensor) -> Tensor:
        """Return the mask [n] bool of an architecture."""
        return prefixes(self.space, self.kept(levels))

    def complexity(self, levels: Tensor) -> float:
        """Return the exact complexity of an architecture."""
        return self.space.complexity(self.mask(levels))

    def smallest(self) -> Tensor:
        """Return the architecture of the lowest level everywhere."""
        return torch.zeros(len(self.counts), dtype=torch.int64)

    def largest(self) -> Tensor:
        """Return the architecture of the highest level everywhere."""
        return self.levels - 1

    def drawn(self, generator: torch.Generator) -> Tensor:
        """Return random levels whose complexity is about log-uniform between the smallest and the largest.

        Levels are drawn evenly and then raised or lowered all together, each held at its group's ends, to the common
        shift that comes closest to the drawn complexity. Even draws alone would hardly ever be small.
        """
        top = self.largest()
        low, high = (self.complexity(ends) for ends in (self.smallest(), top))
        target = low * (high / low) ** float(torch.rand((), generator=generator, dtype=torch.float64))
        even = (torch.rand(len(top), generator=generator, dtype=torch.float64) * (top + 1)).long()
        reach = int(top.max())
        shifted = [torch.minimum((even + by).clamp(min=0), top) for by in range(-reach, reach + 1)]
        return min(shifted, key=lambda levels: _ratio(self.complexity(levels), target))


def _ratio(complexity: float, target: float) -> float:
    return max(complexity / target, target / complexity)


def prefixes(space: SearchSpace, kept: Sequence[int]) -> Tensor:
    """Return the mask [n] bool of the first `kept[g]` units of every group."""
    mask = torch.zeros(space.n, dtype=torch.bool)
    for part, count in zip(mask.split(space.sizes), kept, strict=True):
        part[:count] = True
    return mask


def width_scores(space: SearchSpace, kept: Sequence[int], order: Tensor | None = None) -> Tensor:
    """Return scores [n] whose projection keeps `kept[g]` units of group g, trimmed or filled to the budget.

    A group's units rank by `order` [n] (None: the first unit first). Those of the target width score above 1, the
    others at most 1, both by their share of the group: what is too much or too little is spread over all groups.
    """
    first = -torch.arange(space.n, dtype=torch.float64)
    share = ranks(space, first if order is None else order)
    wanted = torch.zeros(space.n, dtype=torch.float64)
    for group, count in zip(space.groups, kept, strict=True):
        part = space.offsets[group.name]
        # The best `count` units have the shares size / size down to (size - count + 1) / size.
        wanted[part] = (share[part] * group.size > group.size - count + 0.5).double()
    return share + wanted
