"""Certified minima: over the cube by a convex solver, over all architectures by looking at each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from benchmark.errors import BenchError
from benchmark.studies.guarantee.problems import DOUBLE, Problem

BLOCK = 4096
LARGEST = 20  # so many units have a million architectures


@dataclass(frozen=True)
class Relaxed:
    """A point of the cube, J there, and a number that J is above in all of the cube."""

    point: Tensor
    value: float
    lower: float


def relaxed(problem: Problem) -> Relaxed:
    """Return the minimum of J over the cube.

    `lower` is a certificate: J is convex, so nowhere below its tangent plane at `point`, whose minimum over the cube
    is at a corner and known.
    """

    def objective(gates: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = problem.value_and_gradient(torch.from_numpy(gates)[None])
        return float(value[0]), gradient[0].numpy()

    found = minimize(
        objective,
        np.full(problem.units, 0.5),
        jac=True,
        bounds=[(0.0, 1.0)] * problem.units,
        method="L-BFGS-B",
        options={"maxiter": 50_000, "maxfun": 100_000, "maxcor": 30, "ftol": 1e-17, "gtol": 1e-13},
    )
    return certified(problem, torch.from_numpy(found.x))


def certified(problem: Problem, point: Tensor) -> Relaxed:
    """Return a point with the certificate of how far from the minimum it can be."""
    value, gradient = problem.value_and_gradient(point[None])
    tangent = torch.where(gradient[0] > 0, -gradient[0] * point, gradient[0] * (1 - point)).sum()
    return Relaxed(point, float(value[0]), float(value[0] + tangent))


def corners(units: int) -> Iterator[Tensor]:
    """Yield all architectures of so many units as blocks [block, units]."""
    if units > LARGEST:
        raise BenchError(f"{units} units have too many architectures to look at each; take at most {LARGEST}")
    bits = torch.arange(units)
    for start in range(0, 2**units, BLOCK):
        numbers = torch.arange(start, min(start + BLOCK, 2**units))
        yield ((numbers[:, None] >> bits) & 1).to(DOUBLE)


def values(problem: Problem) -> Tensor:
    """Return J of all architectures [2^n], in the order of `corners`."""
    return torch.cat([problem.value(part) for part in corners(problem.units)])
