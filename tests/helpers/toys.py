"""Problems small enough for hand computation, and for many repetitions."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from benchmark.studies.guarantee.problems import DOUBLE, Problem, random_features, regression


def made(
    rows: list[list[float]] | Tensor,
    targets: list[float],
    loss: Literal["squared", "logistic", "linear"] = "squared",
    penalty: float = 0.0,
    offset: float = 0.0,
) -> Problem:
    """A problem with these rows, whose units cost the same."""
    rows = torch.as_tensor(rows, dtype=DOUBLE)
    costs = torch.full((rows.shape[1],), 1 / rows.shape[1], dtype=DOUBLE)
    return Problem("made", "made", loss, rows, torch.tensor(targets, dtype=DOUBLE), offset, costs, penalty, 64)


def line(slope: float = 1.0, units: int = 1) -> Problem:
    """J(a) = slope times the sum of a."""
    return made([[slope] * units], [0.0], "linear")


def small() -> list[Problem]:
    """Problems of both losses with few units."""
    return [regression(units=6, examples=30), random_features(units=8, examples=60), replace(regression(), penalty=3.0)]
