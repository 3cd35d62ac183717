"""The depth that a search starts from: how many blocks a budget is better off without, told by short trainings.

A gate's slope says what a small change of one block would do. Whether a network of half the layers, each the wider for
it, learns better is no small change, and a deep network of very narrow layers hardly learns at all: its gates would
tell nothing. So depth is tried first, on the source, and the gates move from there.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmark.dap.units import ladder
from benchmark.pruning.problem import Problem
from benchmark.space import SearchSpace

SHORTEST = 0.1  # of the recipe's steps: after fewer, deep and shallow networks alike are at chance


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
    places = [(unit - part.start) / (part.stop - part.start) for part, unit in _blocks(space)]
    order = sorted(range(count), key=lambda block: (-places[block], -block))
    found: dict[bytes, Tensor] = {}
    for left_out in range(count + 1):
        scores[:count] = torch.inf
        scores[order[:left_out]] = -torch.inf
        mask = space.project(scores, budget)
        found.setdefault(mask.numpy().tobytes(), mask)
    return list(found.values())


def _blocks(space: SearchSpace) -> list[tuple[slice, int]]:
    """Every block with the range of its group."""
    count = len(space.blocks)
    return [
        (part, unit) for part in space.offsets.values() if part.start < count for unit in range(part.start, part.stop)
    ]


def halved(problem: Problem, masks: Sequence[Tensor], spend: float) -> Tensor:
    """Return the mask whose network learns the source best: the better half goes on to trainings that are longer.

    Every round costs the same, about `spend` pretrainings in all, within `SHORTEST` and the whole of the recipe's
    steps. A training starts from new weights, the same for all masks of a round, with the recipe's schedule over its
    own length, and is judged by the accuracy on the source's validation part (successive halving: Jamieson & Talwalkar
    2016, arXiv 1502.07943).
    """
    left, rounds = list(masks), math.ceil(math.log2(len(masks)))
    for number in range(rounds):
        share = sum(problem.space.macs(mask) for mask in left) / problem.dense_macs
        each = min(1.0, max(SHORTEST, spend / rounds / share))
        steps = max(1, round(problem.recipe.steps * each))
        trial = replace(problem, recipe=problem.recipe.model_copy(update={"steps": steps}))
        accuracies = [_accuracy(trial, mask, number) for mask in left]
        problem.flops = trial.flops
        order = sorted(range(len(left)), key=lambda place: -accuracies[place])
        left = [left[place] for place in order[: (len(left) + 1) // 2]]
    return left[0]


def _accuracy(trial: Problem, mask: Tensor, number: int) -> float:
    # Draws from 0 on belong to the laws of weights.
    return trial.evaluate(mask, trial.retrain(mask, trial.draw(-1 - number)))
