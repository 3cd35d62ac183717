"""Orders of units by rule: no weights, no data, no search."""

import torch
from torch import Tensor

from benchmark.space import SearchSpace


def block_groups(space: SearchSpace) -> int:
    """Return how many of the space's groups, the first ones, are of blocks and not of channels."""
    return sum(part.start < len(space.blocks) for part in space.offsets.values())


def equal_widths(space: SearchSpace, last_half: bool) -> list[Tensor]:
    """Return per group of channels the places (float64 [size]) in which its units are kept, lowest first.

    Place k of every group comes before place k + 1 of any, so that what is kept is the same number of units of every
    group, capped at its size; among equal numbers the earlier group comes first. With `last_half` the first half of the
    last group comes before everything.
    """
    sizes = space.sizes[block_groups(space) :]
    places = [torch.arange(size, dtype=torch.float64) for size in sizes]
    if last_half and places:
        places[-1][: -(-sizes[-1] // 2)] = -1.0
    return [place + group / (2 * len(sizes)) for group, place in enumerate(places)]
