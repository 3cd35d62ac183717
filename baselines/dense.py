"""The large model itself."""

from collections.abc import Sequence

import torch

from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Dense(Pruner):
    """Keep everything: the control that every pruned architecture is measured against."""

    name = "dense"
    reference = "the large model"
    label = "dense"
    seeded = False

    def budgets(self, requested: Sequence[float]) -> tuple[float, ...]:  # noqa: ARG002 - its cost is what it is
        """Return the one budget of the large model, 1."""
        return (1.0,)

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return the all-ones mask."""
        return [SubNetwork(1.0, torch.ones(problem.space.n, dtype=torch.bool))]
