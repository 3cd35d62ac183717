"""The depth that a search starts from: how many blocks a budget is better off without, told by short trainings.

A gate's slope says what a small change of one block would do. Whether a network of half the layers, each the wider for
it, learns better is no small change, and a deep network of very narrow layers hardly learns at all: its gates would
tell nothing. So depth is tried first, on the source, and the gates move from there.
"""

import torch
from torch import Tensor

from benchmark.dap.halving import halved
from benchmark.dap.units import ladder
from benchmark.pruning.problem import Problem
from benchmark.pruning.rules import block_groups
from benchmark.space import SearchSpace


def starting_blocks(problem: Problem, spend: float) -> Tensor:
    """Return which blocks are on at the start, bool [blocks]; the trainings cost about `spend` pretrainings.

    All depths are tried at the middle one of the budgets, at equal shares of all widths.
    """
    budget = sorted(problem.budgets)[len(problem.budgets) // 2]
    best = halved(problem, depths(problem.space, budget), spend)
    return best[: len(problem.space.blocks)]


def depths(space: SearchSpace, budget: float) -> list[Tensor]:
    """Return the different masks [n] of one budget with none of the blocks left out, one of them, and so on.

    Of every group of blocks the same share is left out, from the output side, of equal shares the later group first.
    """
    count, scores = len(space.blocks), ladder(space).double()
    places = [place / size for size in space.sizes[: block_groups(space)] for place in range(size)]
    order = sorted(range(count), key=lambda block: (-places[block], -block))
    found: dict[bytes, Tensor] = {}
    for left_out in range(count + 1):
        scores[:count] = torch.inf
        scores[order[:left_out]] = -torch.inf
        mask = space.project(scores, budget)
        found.setdefault(mask.numpy().tobytes(), mask)
    return list(found.values())
