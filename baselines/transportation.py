"""Soft masks of exact size by optimal transport, one proximal step per batch."""

import torch
from torch import Tensor

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.pruning.gated_training import Relaxation, Relaxed, best_of_groups, cut, training
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights
from benchmark.space import SearchSpace

CERTAIN = 40.0  # a logit whose sigmoid is 0 or 1 in double precision
HALVINGS = 32  # of the interval in which the offset lies
FLAT = 1e-9  # below this slope the cost does not change with the offset any more


class Transportation(Pruner):
    """Train weights and scores under masks that transport the units to kept or dropped, exactly as many as fit.

    Every batch takes one proximal Sinkhorn step from the last plan, so the masks harden as scores add up, without a
    schedule. Li et al. 2023, Differentiable Transportation Pruning, arXiv 2307.08483 (bi-level problem, proximal step,
    exact size), reconstructed from its openly readable parts.

    Ours: with two targets the step has a closed form, sigmoid((2 sum of s + c) / epsilon), whose one unknown, c, is
    found by bisection; the size is the cost, not the number of units, so a budget is met by the relaxed network at
    every step; epsilon is given by the temperature that the last step reaches, so that a short training hardens as a
    long one does; only the present scores carry the gradient; the best unit of every group has mask 1; a training per
    budget; the scores' optimiser is Adam.
    """

    name = "transportation"
    reference = "Li et al. 2023, arXiv 2307.08483"
    label = "transportation"
    color = "#607D8B"
    marker = "star6"
    trains = True

    class Parameters(Section):
        """`length` of a budget's training as a share of the recipe's steps.

        `temperature` of the masks at its end, relative to scores in [0, 1]; `noise`: the deviation of the first scores
        from 1/2; `travel`: the way of a score whose gradient keeps its sign, in all. `statistics`: the batches that
        give the sub-network its batch norm statistics.
        """

        length: Positive = 1.0
        temperature: Positive = 0.003
        noise: NonNegative = 0.1
        travel: NonNegative = 1.0
        statistics: Count = 4

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the weights of its own training, the masks folded in."""
        p = self.parameters
        steps = max(1, round(p.length * problem.recipe.steps))
        drawn = 0.5 + p.noise * torch.randn(problem.space.n, generator=problem.generator("start"))
        found = []
        for number, budget in enumerate(problem.budgets):
            net = SharedWeights(problem, problem.initial(), steps)
            scores = drawn.clamp(0, 1).to(problem.device)
            units = Transport(problem.space, scores, budget, p.temperature * steps)
            for done in training(problem, net, units, p.travel):
                problem.progress((number + done / steps) / len(problem.budgets))
            found.append(cut(problem, net, units, units.total, budget, p.statistics))
        return found


class Transport(Relaxation):
    """Masks of one proximal step per batch; a plan begins uniform, so step t has the temperature epsilon / t.

    `total` [n] are the scores of all steps so far, added up; those of past steps are constants.
    """

    def __init__(self, space: SearchSpace, scores: Tensor, budget: float, epsilon: float) -> None:
        super().__init__(space, scores)
        self.budget, self.epsilon = budget, epsilon
        self.total = torch.zeros_like(scores, dtype=torch.float64)

    def step(self, share: float) -> Relaxed:  # noqa: ARG002 - the temperature falls by itself
        """Return the masks of the next plan, and them as what is kept."""
        total = self.total + self.scores
        self.total = total.detach()
        return self._plan(total)

    def final(self) -> Relaxed:
        """Return the masks of the last plan."""
        return self._plan(self.total)

    def settle(self) -> None:
        """Keep the scores between the two targets."""
        self.scores.data.clamp_(0, 1)

    def _plan(self, total: Tensor) -> Relaxed:
        masks = of_cost(self.space, 2 * total / self.epsilon, self.budget).to(self.scores.dtype)
        return Relaxed(masks, masks)


def of_cost(space: SearchSpace, logits: Tensor, budget: float) -> Tensor:
    """Return the masks sigmoid(logits + c) [n] whose relaxed complexity is the budget; differentiable, c included.

    The best unit of every group has mask 1. The last step to c is one of Newton's, whose derivative in the logits is
    that which the constraint gives c.
    """
    best = best_of_groups(space, logits)
    offset = _offset(space, logits.detach(), best, budget)
    masks = torch.sigmoid(logits + offset).index_fill(0, best, 1)
    cost = space.cost(masks) / space.total
    with torch.enable_grad():
        point = masks.detach().requires_grad_()
        (price,) = torch.autograd.grad(space.cost(point) / space.total, point)
    slope = (price * point * (1 - point)).sum().detach().clamp(min=FLAT)
    return torch.sigmoid(logits + offset - (cost - budget) / slope).index_fill(0, best, 1)


def _offset(space: SearchSpace, logits: Tensor, best: Tensor, budget: float) -> Tensor:
    low, high = -logits.max() - CERTAIN, -logits.min() + CERTAIN
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = space.cost(torch.sigmoid(logits + middle).index_fill(0, best, 1)) <= budget * space.total
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return low
