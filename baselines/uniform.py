"""Uniform width scaling."""

import torch

from benchmark.pruning.importance import ranks
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Uniform(Pruner):
    """Scale every group by the same factor, whatever its units do; which units stay is drawn at random.

    Howard et al. 2017, MobileNets (the width multiplier), arXiv 1704.04861. The allocation to beat.
    """

    name = "uniform"
    reference = "Howard et al. 2017, arXiv 1704.04861"
    label = "uniform width"
    color = "#000000"
    marker = "s"
    nested = True

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures with equal shares of every group."""
        scores = torch.rand(problem.space.n, generator=problem.generator("units"), dtype=torch.float64)
        return problem.project(ranks(problem.space, scores))
