"""Random pruning."""

from typing import Literal

import torch

from benchmark.config.params import Section
from benchmark.pruning.importance import with_ratios
from benchmark.pruning.liveness import live
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Random(Pruner):
    """Keep random units: by one uniform score over all units, or at random ratios between the groups.

    Mittal et al. 2018, Recovering from Random Pruning, arXiv 1801.10447 (`scores`); Su et al. 2020,
    Sanity-Checking Pruning Methods, arXiv 2009.11094 (layer ratios decide; `ratios` draws them). Among `live` units
    only, random pruning is the control for methods that merely notice which weights are never read.
    """

    name = "random"
    reference = "Mittal et al. 2018, arXiv 1801.10447; Su et al. 2020, arXiv 2009.11094"
    label = "random"
    color = "#E69F00"
    marker = "D"
    nested = True

    class Parameters(Section):
        """`allocation`: `scores` ranks all units together, `ratios` first draws each group's share in (0, 1).

        `among`: `all` units, or those first that are `live`, whose gate has a gradient at the initial weights. The
        others (say, kernel taps that only ever read padding) are kept last.
        """

        allocation: Literal["scores", "ratios"] = "scores"
        among: Literal["all", "live"] = "all"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return random architectures, nested over the budgets."""
        generator = problem.generator("units")
        scores = torch.rand(problem.space.n, generator=generator, dtype=torch.float64)
        if self.parameters.among == "live":
            scores = scores - (~live(problem)).double()
        if self.parameters.allocation == "scores":
            return problem.project(scores)
        ratios = torch.rand(len(problem.space.groups), generator=generator, dtype=torch.float64).clamp(min=1e-3)
        return problem.project(with_ratios(problem.space, scores, ratios))
