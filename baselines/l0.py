"""Hard concrete gates under an expected L0 penalty."""

import math

import torch
from torch import Tensor

from benchmark.config.params import Count, Fraction, NonNegative, Positive, Section
from benchmark.dap.cost_weight import DualAscent
from benchmark.dap.falling_price import FallingPrice
from benchmark.pruning.gated_training import Relaxation, Relaxed, best_of_groups, cut, training
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights
from benchmark.space import SearchSpace

TEMPERATURE = 2 / 3
LOW, HIGH = -0.1, 1.1  # the stretched interval, whose ends are cut off to exact zeros and ones
LIMIT = math.log(1e4)  # of |log alpha|


class L0(Pruner):
    """Train weights and stochastic gates that can be exactly zero, and pay for the expected number that are not.

    One sample of the gates per batch; a unit's chance to be on is priced by its share of the cost, here the derivative
    of the expected complexity at the present chances. Louizos et al. 2018, Learning Sparse Neural Networks through L0
    Regularization, arXiv 1712.01312 (the gates, their interval, temperature and initial law).

    Ours: the price is no constant but follows, by dual ascent, a budget that falls during the training, and every
    budget has a training of its own; weight decay is the recipe's, the same for all weights; log alpha may reach 1e4
    either way instead of 100, as a chance would else not fall below 5 %; the best unit of every group is never off; the
    optimiser of log alpha is Adam.
    """

    name = "l0"
    reference = "Louizos et al. 2018, arXiv 1712.01312"
    label = "L0"
    color = "#44AA99"
    marker = "star3"
    trains = True

    class Parameters(Section):
        """`length` of a budget's training as a share of the recipe's steps; `dropout`: the gates' initial rate.

        `travel` is the way of a log alpha whose gradient keeps its sign, in all. The price of complexity follows the
        falling budget by dual ascent (`dual_rate`, `damping`; the budget is held for the last `hold` of the steps).
        `statistics`: the batches that give the sub-network its batch norm statistics.
        """

        length: Positive = 1.0
        dropout: Fraction = 0.3
        travel: NonNegative = 12.0
        dual_rate: NonNegative = 0.2
        damping: NonNegative = 5.0
        hold: Fraction = 0.1
        statistics: Count = 4

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the weights of its own training, the gates folded in."""
        p = self.parameters
        steps = max(1, round(p.length * problem.recipe.steps))
        found = []
        for number, budget in enumerate(problem.budgets):
            net = SharedWeights(problem, problem.initial(), steps)
            units = HardConcrete(problem.space, start(problem, p.dropout), problem.generator("gates", number))
            price = FallingPrice(DualAscent(p.dual_rate, p.damping), budget, hold=p.hold)
            for done in training(problem, net, units, p.travel, price):
                problem.progress((number + done / steps) / len(problem.budgets))
            found.append(cut(problem, net, units, units.scores, budget, p.statistics))
        return found


def start(problem: Problem, dropout: float) -> Tensor:
    """Return the initial log alpha [n]: normal around the logarithm of the odds to be on, with deviation 0.01."""
    noise = 0.01 * torch.randn(problem.space.n, generator=problem.generator("start"))
    return (math.log((1 - dropout) / dropout) + noise).to(problem.device)


class HardConcrete(Relaxation):
    """Gates from the hard concrete law; the scores are log alpha."""

    def __init__(self, space: SearchSpace, scores: Tensor, generator: torch.Generator) -> None:
        super().__init__(space, scores)
        self.generator = generator

    def step(self, share: float) -> Relaxed:  # noqa: ARG002 - one temperature
        """Return a sample of the gates, and the chances that they are not zero."""
        uniform = torch.rand(len(self.scores), generator=self.generator).clamp(1e-6, 1 - 1e-6)
        return self._open(sampled(self.scores, uniform.to(self.scores.device)))

    def final(self) -> Relaxed:
        """Return the gates for inference, and the chances."""
        return self._open(stretched(torch.sigmoid(self.scores)))

    def settle(self) -> None:
        """Keep log alpha where its chance is neither certain nor impossible."""
        self.scores.data.clamp_(-LIMIT, LIMIT)

    def _open(self, gates: Tensor) -> Relaxed:
        best = best_of_groups(self.space, self.scores)
        return Relaxed(gates.index_fill(0, best, 1), chances(self.scores).index_fill(0, best, 1))


def sampled(log_alpha: Tensor, uniform: Tensor) -> Tensor:
    """Return the gates in [0, 1] that uniform numbers in (0, 1) stand for."""
    return stretched(torch.sigmoid((uniform.logit() + log_alpha) / TEMPERATURE))


def chances(log_alpha: Tensor) -> Tensor:
    """Return the chances that gates are not zero."""
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-LOW / HIGH))


def stretched(concrete: Tensor) -> Tensor:
    """Return numbers in (0, 1) stretched beyond that interval and cut off at its ends."""
    return (concrete * (HIGH - LOW) + LOW).clamp(0, 1)
