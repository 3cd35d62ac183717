"""Random pruning at the layer densities of Erdos-Renyi-Kernel."""

from typing import Literal

import torch

from benchmark.config.params import Section
from benchmark.pruning.importance import ranks
from benchmark.pruning.liveness import live, live_first
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class ErdosRenyiKernel(Pruner):
    """Keep random weights, in a layer as many as the sum of its weight's dimensions says.

    A layer of shape [out, in, height, width] has the density epsilon (out + in + height + width) / (out in height
    width), at most 1; epsilon is what meets the budget, layers that it would fill beyond 1 being dense.
    Evci et al. 2020, Rigging the Lottery, arXiv 1911.11134. Without its later regrowth: the layer densities alone.
    """

    name = "erk"
    reference = "Evci et al. 2020, arXiv 1911.11134"
    label = "ERK"
    color = "#A6761D"
    marker = "X"
    granularities = ("weight",)
    nested = True

    class Parameters(Section):
        """`among`: `all` weights, or those first that are `live`, whose gate has a gradient at the initial weights."""

        among: Literal["all", "live"] = "all"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return random architectures, nested over the budgets."""
        space = problem.space
        alive = live(problem) if self.parameters.among == "live" else torch.ones(space.n, dtype=torch.bool)
        scores = torch.rand(space.n, generator=problem.generator("units"), dtype=torch.float64)
        within = ranks(space, live_first(scores, alive))
        # The k-th best weight of a layer is kept when epsilon passes k / (sum of dimensions): a layer is full where
        # its last weight is passed, and the others share what is left, as the capping at density 1 does.
        passed = torch.empty_like(within)
        for group in space.groups:
            part = space.offsets[group.name]
            passed[part] = (group.size * (1 - within[part]) + 1) / sum(space.shapes[group.name])
        return problem.project(live_first(-passed, alive))
