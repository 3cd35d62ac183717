"""Where the logits begin, and how they move: each on its own, or a group's together as a width."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.space import SearchSpace


@dataclass(frozen=True)
class Units:
    """The starting logits [n] and the width that each unit moves with (int64 [n]; None: every unit on its own).

    `kinds` are the numbers of units of each kind in their order: blocks, channels, or weights.
    """

    start: Tensor
    group: Tensor | None
    kinds: tuple[int, ...]

    @classmethod
    def of(cls, space: SearchSpace, tied: bool, device: str, on: Tensor | None = None) -> "Units":
        """Return the units of a space: tied ones, those of a layer, on a ladder, others all at logit 1.

        Blocks are not exchangeable: each does what no other does, and is a width of one. Those that are not `on` (bool
        [blocks]; None: all are) start as far below zero as the others above, so that a slope can bring them back.
        """
        blocks = len(space.blocks)
        kinds = tuple(size for size in (blocks, space.n - blocks) if size)
        start = ladder(space) if tied else torch.ones(space.n)
        if on is not None:
            start[:blocks] = torch.where(on, start[:blocks], -start[:blocks])
        if not tied:
            return cls(start.to(device), None, kinds)
        sizes = torch.tensor([part.stop - part.start for part in space.alike])
        group = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        return cls(start.to(device), group.to(device), kinds)

    def moved(self, gradient: Tensor) -> Tensor:
        """Return the gradient [n] of what moves: for tied units that of their common shift, the sum over the group."""
        return gradient if self.group is None else self.of_widths(gradient)[self.group]

    def of_widths(self, gradient: Tensor) -> Tensor:
        """Return the gradient [widths] of the common shift of each width's units, from that of the units [n]."""
        assert self.group is not None, "only tied units are widths"
        return gradient.new_zeros(int(self.group[-1]) + 1).index_add_(0, self.group, gradient)

    def scattered(self, logits: Tensor, spread: float, draws: torch.Generator) -> Tensor:
        """Return logits [n] of an architecture around: widths moved at random, each on its own and all together.

        A width moves by a normal number of standard deviation `spread`; all shrink by the size of another such number.
        """
        count = len(logits) if self.group is None else int(self.group[-1]) + 1
        moves = spread * torch.randn(count + 1, generator=draws)
        own = moves[1:] - moves[0].abs()
        return logits + (own if self.group is None else own[self.group.cpu()]).to(logits)

    def mean_squares(self, gradient: Tensor) -> list[float]:
        """Return the mean square of a gradient [n] for each kind of unit."""
        return [float(part.square().mean()) for part in gradient.split(self.kinds)]

    def scaled(self, gradient: Tensor, mean_squares: list[float]) -> Tensor:
        """Return the gradient [n], the part of each kind of unit divided by the root of its mean square.

        So blocks and channels move alike, whatever one of either does to loss and cost.
        """
        parts = zip(gradient.split(self.kinds), mean_squares, strict=True)
        return torch.cat([part / max(square, 1e-30) ** 0.5 for part, square in parts])


def ladder(space: SearchSpace) -> Tensor:
    """Return logits that make every group's width a number: unit i of n starts at log(n / (i + 1/2)).

    Under a law of fresh weights the units of a group are exchangeable, so only how many are kept can matter. All
    logits of a group then move together, by u: about n exp(u) of them stay above zero, u is the logarithm of the kept
    share, and equal shifts of all groups are uniform width scaling.
    """
    logits = torch.empty(space.n)
    for part in space.alike:
        size = part.stop - part.start
        logits[part] = torch.log(size / (torch.arange(size) + 0.5))
    return logits


def filled(space: SearchSpace, logits: Tensor) -> Tensor:
    """Return the logits with the best unit of every group raised above zero: a search never empties a group."""
    result = logits.clone()
    for group in space.groups:
        part = result[space.offsets[group.name]]
        if not bool((part > 0).any()):
            part[part.argmax()] = 1e-3
    return result
