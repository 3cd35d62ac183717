"""Which units the network reads at all."""

import torch
from torch import Tensor

from benchmark.pruning.problem import Problem
from benchmark.training.loop import loss_of


def live(problem: Problem) -> Tensor:
    """Return which units [n] bool the loss on one batch depends on, to first order, at the initial weights.

    The others (say, kernel taps that only ever read padding) cost a share of the budget and compute nothing. One
    forward and backward pass over one training batch is charged.
    """
    gates = torch.ones(problem.space.n, device=problem.device, requires_grad=True)
    images, labels = next(problem.batches(problem.train, problem.recipe, "live"))
    loss = loss_of(problem.gated_logits(problem.initial(), gates, images), labels)
    problem.charge(problem.dense_macs, len(labels))
    return (torch.autograd.grad(loss, gates)[0] != 0).cpu()


def live_first(scores: Tensor, alive: Tensor) -> Tensor:
    """Return finite `scores` [n] with the units that are not `alive` [n] ranked below all others, in their order."""
    span = float(scores.max() - scores.min()) + 1
    return scores - span * (~alive).to(scores)
