"""Which of several networks learns the source best: successive halving over trainings of growing length."""

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from benchmark.pruning.problem import Problem

SHORTEST = 0.1  # of the recipe's steps: after fewer, deep and shallow networks alike are at chance


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
