"""How large gradients can be anywhere in the cube: true bounds, computed, not estimated."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.studies.guarantee.optimum import corners
from benchmark.studies.guarantee.problems import DOUBLE, LOSSES, Problem

ENUMERATED = 16  # up to so many units a convex function's largest value is looked for at every corner


@dataclass(frozen=True)
class Sizes:
    """`size` bounds the root of E|g|^2 at every point of the cube, `largest` every entry of every such gradient."""

    size: float
    largest: float


def sizes(problem: Problem, batch: int | None = None) -> Sizes:
    """Return the bounds for full gradients, or for those on a batch of rows drawn with replacement.

    Each is the smallest of several bounds, all true: intervals, the distance from the middle, and for a squared loss of
    few units the corners.
    """
    entries = _entries(problem)
    length = _length(problem, entries)
    if batch is None:
        return Sizes(length, float(entries.max()))
    single, largest = _single(problem)
    # The mean of independent rows: its square's expectation is that of the full gradient plus the variance over batch.
    return Sizes((length**2 * (1 - 1 / batch) + single**2 / batch) ** 0.5, largest)


def smoothness(problem: Problem) -> float:
    """Return a bound of the largest eigenvalue of J's second derivative."""
    return LOSSES[problem.loss].bend * _spectral(problem.rows) ** 2 / len(problem.rows)


def bends(problem: Problem) -> Tensor:
    """Return bounds [n] of J's second derivative along each unit."""
    return LOSSES[problem.loss].bend * problem.rows.square().mean(0)


def _slopes(problem: Problem) -> tuple[Tensor, Tensor]:
    """The least and the largest derivative of each row's loss in its output, over the cube."""
    low = problem.offset + problem.rows.clamp(max=0).sum(1)
    high = problem.offset + problem.rows.clamp(min=0).sum(1)
    slope = LOSSES[problem.loss].slope
    return slope(low, problem.targets), slope(high, problem.targets)  # it rises: the loss is convex


def _entries(problem: Problem) -> Tensor:
    """Bounds [n] of the full gradient's entries."""
    least, most = _slopes(problem)
    ends = torch.stack([problem.rows * least[:, None], problem.rows * most[:, None]])
    cost = problem.penalty * problem.costs
    bound = torch.maximum((ends.amax(0).mean(0) + cost).abs(), (ends.amin(0).mean(0) + cost).abs())
    if problem.loss == "squared":
        # The gradient is affine in the gates: its exact range over the cube.
        matrix = 2 * problem.rows.T @ problem.rows / len(problem.rows)
        start = problem.gradient(torch.zeros(1, problem.units, dtype=DOUBLE))[0]
        exact = torch.maximum((start + matrix.clamp(min=0).sum(1)).abs(), (start + matrix.clamp(max=0).sum(1)).abs())
        bound = torch.minimum(bound, exact)
    return bound


def _length(problem: Problem, entries: Tensor) -> float:
    """A bound of the full gradient's length."""
    middle = torch.full((1, problem.units), 0.5, dtype=DOUBLE)
    half = problem.units**0.5 / 2  # from the middle to a corner
    least, most = _slopes(problem)
    steepest = torch.maximum(least.abs(), most.abs())
    spectral = _spectral(problem.rows) / len(problem.rows) ** 0.5
    bounds = [
        float(entries.norm()),
        float(problem.gradient(middle).norm()) + smoothness(problem) * half,
        spectral * float(steepest.square().mean().sqrt()) + problem.penalty * float(problem.costs.norm()),
    ]
    if problem.loss == "squared" and problem.units <= ENUMERATED:
        bounds.append(max(float(problem.gradient(part).norm(dim=1).max()) for part in corners(problem.units)))
    return min(bounds)


def _single(problem: Problem) -> tuple[float, float]:
    """Bounds for the gradient on one row: of the root of its mean squared length, and of its entries."""
    least, most = _slopes(problem)
    steepest = torch.maximum(least.abs(), most.abs())
    lengths = problem.rows.norm(dim=1)
    cost = problem.penalty * problem.costs
    middle = torch.full((1, problem.units), 0.5, dtype=DOUBLE)
    count, half = len(problem.rows) ** 0.5, problem.units**0.5 / 2
    at_middle = LOSSES[problem.loss].slope(problem.outputs(middle), problem.targets)[0]
    moved = LOSSES[problem.loss].bend * _spectral(lengths[:, None] * problem.rows) / count * half
    roots = [
        float((lengths * steepest).norm()) / count,
        float((lengths * at_middle).norm()) / count + moved,
    ]
    if problem.loss == "squared" and problem.units <= ENUMERATED:
        weighted = (
            float((problem.outputs(part) - problem.targets).square().matmul(lengths.square()).max())
            for part in corners(problem.units)
        )
        roots.append(2 * max(weighted) ** 0.5 / count)
    entries = (problem.rows.abs() * steepest[:, None]).amax(0) + cost.abs()
    return min(roots) + float(cost.norm()), float(entries.max())


def _spectral(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))
