"""Layer-adaptive magnitude pruning."""

from typing import Literal

import torch

from benchmark.config.params import Section
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.liveness import live
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class LAMP(Pruner):
    """Rank all units of the pretrained model by their squared norm's share of what their layer still has.

    The score of a weight is its square over the sum of the squares of its layer's weights that are at least as large.
    The largest of every layer has the score 1, so no layer is emptied. Channels take the L2 norm of their filters in
    the weight's place (ours).
    Lee et al. 2021, Layer-adaptive Sparsity for the Magnitude-based Pruning, arXiv 2010.07611.
    """

    name = "lamp"
    reference = "Lee et al. 2021, arXiv 2010.07611"
    label = "LAMP"
    color = "#66A61E"
    marker = "<"
    granularities = ("channel", "weight")
    uses_pretrained = True
    nested = True

    class Parameters(Section):
        """`among`: `all` units, or those first that are `live`, whose gate has a gradient at the initial weights."""

        among: Literal["all", "live"] = "all"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures and leave them the pretrained weights."""
        space = problem.space
        squares = magnitude_importance(space, problem.pretrained(), "l2").square()
        counted = live(problem) if self.parameters.among == "live" else torch.ones(space.n, dtype=torch.bool)
        # What is not counted adds nothing to its layer's sum, and is kept last.
        squares = squares.where(counted, 0.0)
        scores = torch.empty_like(squares)
        for part in space.offsets.values():
            falling = torch.sort(squares[part], descending=True, stable=True)
            scores[part] = torch.empty_like(falling.values).scatter(
                0, falling.indices, falling.values / falling.values.cumsum(0).clamp(min=torch.finfo().tiny)
            )
        return problem.project(scores.where(counted, -1.0))
