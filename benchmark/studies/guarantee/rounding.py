"""From a point of the cube back to an architecture."""

import torch
from torch import Tensor

from benchmark.studies.guarantee.optimum import corners
from benchmark.studies.guarantee.problems import DOUBLE, Problem
from benchmark.studies.guarantee.sizes import bends


def threshold(point: Tensor) -> Tensor:
    """Return the architecture of the gates above 1/2, which are those with positive logits."""
    return (point > 0.5).to(DOUBLE)


def excess(problem: Problem, point: Tensor) -> float:
    """Return by how much J can rise in expectation when every gate is drawn on its own, on with its own probability."""
    return float((bends(problem) * point * (1 - point)).sum() / 2)


def expected(problem: Problem, point: Tensor) -> float:
    """Return the expectation of J under these draws, over all architectures."""
    total = 0.0
    for part in corners(problem.units):
        chance = torch.where(part > 0, point, 1 - point).prod(1)
        total += float(chance @ problem.value(part))
    return total


def settled(problem: Problem, point: Tensor) -> Tensor:
    """Return an architecture with J at most J(point) + excess(point), found without chance.

    Gate by gate takes the end at which J plus the excess still to come is smaller. One of the two ends is no worse than
    before, for along one gate J bends at most as much as the excess allows.
    """
    now = point.clone()
    for unit in range(problem.units):
        both = now.repeat(2, 1)
        both[0, unit], both[1, unit] = 0.0, 1.0
        now = both[int(problem.value(both).argmin())]
    return now
