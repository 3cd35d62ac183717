"""Soft thresholds on the ranks of units, under hinges on parameters, MACs and peak memory."""

import torch
from torch import Tensor

from benchmark.config.params import Count, Fraction, NonNegative, Positive, Section
from benchmark.dap.cost_weight import DualAscent, falling_budget
from benchmark.models.copying import copied
from benchmark.pruning.gated_training import Relaxation, Relaxed, best_of_groups, cut, training
from benchmark.pruning.importance import ranks
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights
from benchmark.space import SearchSpace, build_space
from benchmark.space.base import COSTS


class Microcontroller(Pruner):
    """Train weights and one width per group; the units of highest importance lie within it, softly.

    A hinge on every resource that a microcontroller lacks (parameters, MACs, peak memory of activations) pulls the
    widths until all of them fit. Liberis & Lane 2022, Differentiable Neural Network Pruning to Enable Smart
    Applications on Microcontrollers, arXiv 2110.08350 (structured, during training, resource use and importance
    together), reconstructed from its openly readable parts.

    Ours: the form of the soft threshold; importance is a running mean of |gate * gradient of the loss|, and ranks are
    taken anew `refreshes` times; the budget bounds the suite's cost, and what uniform width takes at that budget bounds
    the other resources; bounds fall during the training, and the hinges' weights follow by dual ascent; the best unit
    of every group has gate 1; a training per budget; the widths' optimiser is Adam. Single weights do not change the
    memory, so it is no resource of theirs.
    """

    name = "microcontroller"
    reference = "Liberis & Lane 2022, arXiv 2110.08350"
    label = "microcontroller"
    color = "#882255"
    marker = "star5"
    trains = True

    class Parameters(Section):
        """`length` of a budget's training as a share of the recipe's steps; `start`: the first share of every group.

        `travel` is the way of a share's logit whose gradient keeps its sign, in all. `hot` and `cold`: the threshold's
        width in units at the beginning and at the end, between which it falls geometrically, at most a tenth of a
        group. `memory` of the importance's running mean. `beside`: whether the other resources are bounded, too. The
        hinges' weights follow by dual ascent (`dual_rate`, `damping`; bounds are held for the last `hold` of the
        steps). `statistics`: the batches that give the sub-network its batch norm statistics.
        """

        length: Positive = 0.5
        start: Fraction = 0.98
        travel: NonNegative = 12.0
        hot: Positive = 2.0
        cold: Positive = 0.2
        memory: Fraction = 0.9
        refreshes: Count = 5
        beside: bool = True
        dual_rate: NonNegative = 0.2
        damping: NonNegative = 5.0
        hold: Fraction = 0.1
        statistics: Count = 4

    examples = ({"beside": False},)

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the weights of its own training, the gates folded in."""
        p = self.parameters
        steps = max(1, round(p.length * problem.recipe.steps))
        spaces = [problem.space, *(others(problem) if p.beside else [])]
        found = []
        for number, budget in enumerate(problem.budgets):
            net = SharedWeights(problem, problem.initial(), steps)
            logits = torch.full((len(problem.space.groups),), p.start).logit().to(problem.device)
            units = SoftRanks(problem.space, logits, (p.hot, p.cold), p.memory, p.refreshes)
            hinges = Hinges(spaces, bounds(spaces, budget), p.dual_rate, p.damping, p.hold)
            for done in training(problem, net, units, p.travel, penalty=hinges):
                problem.progress((number + done / steps) / len(problem.budgets))
            sub = cut(problem, net, units, units.ranking(), budget, p.statistics)
            sub.notes.update(hinges.notes(units.final().kept))
            found.append(sub)
        return found


def others(problem: Problem) -> list[SearchSpace]:
    """Return the search space at the costs that budgets are not shares of, as far as units change them."""
    space, image = problem.space, problem.train.images[:1].float()
    kinds = [kind for kind in COSTS if kind != space.cost_kind and (kind != "memory" or space.granularity != "weight")]
    # Of a copy: the large model itself runs only where images are charged.
    network = copied(problem.network)
    return [build_space(network, image, space.granularity, kind) for kind in kinds]


def bounds(spaces: list[SearchSpace], budget: float) -> list[float]:
    """Return the share of every space's cost that may be used: the budget, then what uniform width takes with it."""
    first = spaces[0]
    uniform = first.project(ranks(first, torch.zeros(first.n)), budget)
    return [budget, *(space.complexity(uniform) for space in spaces[1:])]


class SoftRanks(Relaxation):
    """Gates sigmoid((p m - rank + 1/2) / tau) of a group's m units; the scores are the logits of the shares p [groups].

    Ranks count from 1, the most important unit; a gate at the threshold is 1/2, and the gates of a group add up to
    about p m. Importance is the running mean of |gate * its gradient|.
    """

    def __init__(
        self, space: SearchSpace, scores: Tensor, temperatures: tuple[float, float], memory: float, refreshes: int
    ) -> None:
        super().__init__(space, scores)
        self._hot, self._cold = temperatures
        self._memory, self._refreshes = memory, refreshes
        self._sizes = torch.tensor(space.sizes, device=scores.device)
        self._group = torch.repeat_interleave(torch.arange(len(space.sizes), device=scores.device), self._sizes)
        self.importance = torch.zeros(space.n, dtype=torch.float64, device=scores.device)
        self._ranks = self._ranked()
        self._fresh = 0
        self._share = 0.0
        self._gates: Tensor | None = None

    def step(self, share: float) -> Relaxed:
        """Return the gates of the present ranks, and them as what is kept."""
        if int(share * self._refreshes) > self._fresh:
            self._fresh = int(share * self._refreshes)
            self._ranks = self._ranked()
        self._share = share
        kept = self._open()
        # A tensor of its own, whose gradient is the loss's alone.
        self._gates = kept.clone()
        if self._gates.requires_grad:
            self._gates.retain_grad()
        return Relaxed(self._gates, kept)

    def final(self) -> Relaxed:
        """Return the gates at the last ranks."""
        gates = self._open()
        return Relaxed(gates, gates)

    def settle(self) -> None:
        """Add the importance of this step to the running mean."""
        if self._gates is not None and self._gates.grad is not None:
            now = (self._gates.detach() * self._gates.grad).abs().double()
            self.importance = self._memory * self.importance + (1 - self._memory) * now

    def ranking(self) -> Tensor:
        """Return how far within its group's threshold every unit lies, in units [n]."""
        return (self._thresholds() - self._ranks).detach()

    def _thresholds(self) -> Tensor:
        return (torch.sigmoid(self.scores) * self._sizes + 0.5)[self._group]

    def _open(self) -> Tensor:
        heat = self._hot * (self._cold / self._hot) ** self._share
        width = torch.minimum(torch.full_like(self._ranks, heat), 0.1 * self._sizes[self._group])
        gates = torch.sigmoid((self._thresholds() - self._ranks) / width)
        return gates.index_fill(0, best_of_groups(self.space, -self._ranks), 1)

    def _ranked(self) -> Tensor:
        """Return every unit's rank in its group, from 1; ties go to the lower index."""
        shares = ranks(self.space, self.importance).to(self.scores)
        return (1 - shares) * self._sizes[self._group] + 1


class Hinges:
    """The penalty sum over resources of weight * max(0, R / R* - 1), each bound R* falling to its end."""

    def __init__(
        self, spaces: list[SearchSpace], ends: list[float], dual_rate: float, damping: float, hold: float
    ) -> None:
        self._spaces, self._ends, self._hold = spaces, ends, hold
        self._weights = [DualAscent(dual_rate, damping) for _ in spaces]

    def __call__(self, kept: Tensor, step: int, steps: int) -> tuple[Tensor, float]:
        """Return the penalty at a step, and the weight of the budget's own hinge."""
        total, used = kept.new_zeros(()), []
        for space, end, law in zip(self._spaces, self._ends, self._weights, strict=True):
            share = space.cost(kept) / space.total
            allowed = falling_budget(step, steps, end, self._hold)
            used.append(law.weight(float(share.detach()), allowed, (step + 1) / steps))
            total = total + used[-1] * torch.relu(share / allowed - 1)
        return total, used[0]

    def notes(self, kept: Tensor) -> dict[str, float]:
        """Return what the relaxed units take of the resources that the budget does not bound."""
        with torch.no_grad():
            return {f"relaxed_{s.cost_kind}": float(s.cost(kept)) / s.total for s in self._spaces[1:]}
