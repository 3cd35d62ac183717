"""Sigmoid masks that harden while they train, with rewinding between rounds."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Count, Fraction, NonNegative, Positive, Section
from benchmark.dap.cost_weight import DualAscent
from benchmark.dap.falling_price import FallingPrice
from benchmark.pruning.gated_training import Relaxation, Relaxed, best_of_groups, cut, training
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights, copied
from benchmark.space import SearchSpace


class ContinuousSparsification(Pruner):
    """Train weights under masks sigmoid(beta s), beta rising until they are hard; rewind the weights, and repeat.

    A round ends with hard masks: what is off keeps a score far below zero and stays off, what is on starts undecided
    again. Savarese et al. 2020, Winning the Lottery with Continuous Sparsification, arXiv 1912.04427 (mask, law of
    beta, rounds, rewinding).

    Ours: masks on units of every kind, where the source has weights; the penalty on the sum of the masks is one on the
    complexity of the masks, and its weight is no constant but follows the budget by dual ascent. As in the lottery
    ticket a round takes at most a given share of the cost, and stops at every budget, so that each has masks and
    trained weights of its own round. The first scores are spread out, for behind batch norm equal masks of a layer shut
    together, unnoticed by the loss; for the same reason the best unit of every group stays at least undecided. The
    scores' optimiser is Adam.
    """

    name = "continuous_sparsification"
    reference = "Savarese et al. 2020, arXiv 1912.04427"
    label = "cont. sparsification"
    color = "#332288"
    marker = "star4"
    trains = True

    class Parameters(Section):
        """`length` of a round as a share of the recipe's steps; `drop`: the share of the cost a round takes at most.

        `beta` at the end of a round, from 1; `start`: the scores' first value, below zero for sparser masks, and
        `spread`: their first deviation from it; `rewind`: the share of the first round after which the weights are
        those that later rounds start from. `travel` is the way of a score whose gradient keeps its sign, in a round.
        The price of complexity follows a budget that goes from where the masks begin to the round's, by dual ascent
        (`dual_rate`, `damping`; it is held for the last `hold` of the steps). `statistics`: the batches that give the
        sub-network its batch norm statistics.
        """

        length: Positive = 1.0
        drop: Fraction = 0.75
        beta: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 200.0
        start: Annotated[float, Field(allow_inf_nan=False)] = 0.0
        spread: NonNegative = 0.5
        rewind: Annotated[float, Field(ge=0, lt=1)] = 0.025
        travel: NonNegative = 2.0
        dual_rate: NonNegative = 0.2
        damping: NonNegative = 1.0
        hold: Fraction = 0.1
        statistics: Count = 4

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the weights of its round, the masks folded in."""
        p = self.parameters
        steps = max(1, round(p.length * problem.recipe.steps))
        rounds = targets(problem.budgets, p.drop)
        begin, rewind = problem.initial(), round(p.rewind * steps)
        drawn = torch.randn(problem.space.n, generator=problem.generator("start"))
        scores = (p.start + p.spread * drawn).to(problem.device)
        found = []
        for number, target in enumerate(rounds):
            net = SharedWeights(problem, copied(begin), steps)
            units = SigmoidMasks(problem.space, scores, p.start, p.beta)
            with torch.no_grad():
                before = float(problem.space.cost(units.step(0.0).kept)) / problem.space.total
            price = FallingPrice(DualAscent(p.dual_rate, p.damping), target, before, p.hold)
            for done in training(problem, net, units, p.travel, price):
                if number == 0 and done == rewind:
                    begin = net.copied()
                problem.progress((number + done / steps) / len(rounds))
            if target in problem.budgets:
                found.append(cut(problem, net, units, units.scores, target, p.statistics))
            scores = rearmed(units.scores.detach(), p.beta, p.start)
        return found


def targets(budgets: tuple[float, ...], drop: float) -> list[float]:
    """Return the complexities of the rounds: each leaves 1 - `drop` of the one before, or stops at a budget before."""
    found: list[float] = []
    for budget in budgets:
        while not found or found[-1] > budget:
            found.append(max(budget, (1 - drop) * (found[-1] if found else 1.0)))
    return found


def rearmed(scores: Tensor, beta: float, start: float) -> Tensor:
    """Return the scores [n] of the next round: min(beta s, start)."""
    return (beta * scores).clamp(max=start)


class SigmoidMasks(Relaxation):
    """Masks sigmoid(beta s) / sigmoid(`start`) with beta from 1 to `beta`, exponentially."""

    def __init__(self, space: SearchSpace, scores: Tensor, start: float, beta: float) -> None:
        super().__init__(space, scores)
        self.scale = torch.sigmoid(torch.tensor(start))
        self.beta = beta

    def step(self, share: float) -> Relaxed:
        """Return the masks, which are 1 for scores at `start` while beta is 1, and sigmoid(beta s)."""
        best = best_of_groups(self.space, self.scores)
        raised = self.scores.index_add(0, best, (-self.scores.detach()[best]).clamp(min=0))
        kept = torch.sigmoid(self.beta**share * raised)
        return Relaxed(kept / self.scale, kept)

    def final(self) -> Relaxed:
        """Return the masks at the last beta: near 0, or near the inverse of sigmoid(`start`)."""
        return self.step(1.0)
