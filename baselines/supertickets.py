"""SuperTickets: a supernet is searched and pruned in one training, and what was pruned may come back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.norm_scales import Scales, norm_scales
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights, State, copied, recalibrated
from benchmark.space import WeightSpace
from benchmark.training.loop import learning_rate, loss_of

DEAD = 1e-3  # a scale that the source counts as none


class SuperTickets(Pruner):
    """Train the large model once per search, with what its granularity has to choose made sparse on the way.

    Channels: an L1 penalty on batch norm's scales, each weighted by what its channel costs, which sets in linearly;
    the largest scales are kept, and one search serves all budgets. Weights: a mask of the largest magnitudes, which
    shrinks to the budget in equal stages. At every stage all weights are ranked anew by their raw values, which
    only decay while they are masked, so that what was dropped may come back. Both hand over the running mean of
    their weights. You et al. 2022, SuperTickets, arXiv 2207.03677.

    Ours: the source does both to one supernet, channels first, where a space here has units of one kind. Channels are
    removed at the end only, for in a training this short none dies, and the penalty is given by how far it
    reaches in a whole training. A channel that several norms scale takes the sum of theirs. Weight searches share
    `length` pretrainings evenly.
    """

    name = "supertickets"
    label = "SuperTickets"
    reference = "You et al. 2022, arXiv 2207.03677"
    color = "#661100"
    marker = "star9"
    granularities = ("channel", "weight")
    trains = True

    class Parameters(Section):
        """Lengths and sizes.

        `length` of all searches together, as a share of the recipe's steps, that of the one for channels being at most
        1; `travel` of a scale of mean cost under the penalty alone, in all; `ramp`: the share of the
        steps in which the penalty sets in; `stages` of the mask, the last one reached after `reached` of the steps;
        `memory` of the running mean of the weights, per step; `statistics`: the batches that recalibrate batch norm
        where channels are gone.
        """

        length: Positive = 2.5
        travel: NonNegative = 1.0
        ramp: Annotated[float, Field(ge=0, le=1)] = 0.07
        stages: Count = 10
        reached: Annotated[float, Field(gt=0, le=1)] = 0.7
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.95
        statistics: Count = 4

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the running mean of the weights that were trained for it."""
        if not isinstance(problem.space, WeightSpace):
            return self._channels(problem)
        return [self._weights(problem, number) for number in range(len(problem.budgets))]

    def _channels(self, problem: Problem) -> list[SubNetwork]:
        p = self.parameters
        scales = norm_scales(problem, self.name)
        net = SharedWeights(problem, problem.initial(), max(1, round(min(1.0, p.length) * problem.recipe.steps)))
        steps = net.recipe.steps
        price = costs(problem)
        lr = [learning_rate(net.recipe, step) for step in range(steps)]
        onset = [min(1.0, (step + 1) / max(1.0, p.ramp * steps)) for step in range(steps)]
        # What steps of these sizes, momentum included, add up to is the way of a scale under a pull of 1.
        way = sum(rate * share for rate, share in zip(lr, onset, strict=True)) / (1 - net.recipe.momentum)
        mean = copied(net.state)
        every = torch.ones(problem.space.n, device=problem.device)
        for step, (images, labels) in enumerate(problem.batches(problem.train, net.recipe, "channels")):
            loss = loss_of(net.logits(every, images), labels, net.recipe.label_smoothing)
            loss = loss + p.travel / way * onset[step] * penalty(scales, net.state, price)
            loss.backward()
            net.update()
            mean = averaged(mean, net.state, p.memory)
            problem.progress((step + 1) / steps)
        sizes = size_of_scales(problem.space.n, scales, mean)
        notes = {"alive": problem.space.complexity(sizes > DEAD)}
        found = problem.project(sizes)
        own = [recalibrated(problem, mean, sub.mask, p.statistics, "kept") for sub in found]
        return [replace(sub, state=state, notes=notes) for sub, state in zip(found, own, strict=True)]

    def _weights(self, problem: Problem, number: int) -> SubNetwork:
        p = self.parameters
        space, budget, searches = problem.space, problem.budgets[number], len(problem.budgets)
        net = SharedWeights(problem, problem.initial(), max(1, round(p.length * problem.recipe.steps / searches)))
        steps = net.recipe.steps
        mean = copied(net.state)
        gates, now = torch.ones(space.n, device=problem.device), 0
        scores = magnitude_importance(space, mean, "l1")
        for step, (images, labels) in enumerate(problem.batches(problem.train, net.recipe, "weights", number)):
            if (stage := stage_of(step, steps, p.stages, p.reached)) > now:
                now = stage
                scores = magnitude_importance(space, copied(net.state), "l1")
                gates = space.project(scores, 1 - now / p.stages * (1 - budget)).float().to(problem.device)
            loss_of(net.logits(gates, images), labels, net.recipe.label_smoothing).backward()
            net.update()
            mean = averaged(mean, net.state, p.memory)
            problem.progress((number + (step + 1) / steps) / searches)
        mask = space.project(problem.apply_inversion(scores), budget)
        return SubNetwork(budget, mask, mean, f"the mask of the last of {p.stages} stages")


def stage_of(step: int, steps: int, stages: int, reached: float) -> int:
    """Return the stage of the mask at a step: of equal lengths, the last one from `reached` of the steps on."""
    return min(stages, int(stages * (step + 1) / max(1.0, reached * steps)))


def costs(problem: Problem) -> Tensor:
    """Return what each unit costs in the whole network [n], as a multiple of the mean: the cost's derivative."""
    gates = torch.ones(problem.space.n, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(problem.space.cost(gates), gates)
    return gradient / gradient.mean()


def penalty(scales: Scales, state: Mapping[str, Tensor], price: Tensor) -> Tensor:
    """Return the sum of the units' absolute scales, each times its price [n]."""
    total = []
    for name, units in scales.items():
        inside = units >= 0
        total.append((price[units[inside]].to(state[name]) * state[name][inside].abs()).sum())
    return torch.stack(total).sum()


def size_of_scales(n: int, scales: Scales, state: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of every unit's absolute scales [n]."""
    total = torch.zeros(n, dtype=torch.float64)
    for name, units in scales.items():
        inside = units >= 0
        total.index_add_(0, units[inside], state[name].detach().cpu().double().abs()[inside])
    return total


@torch.no_grad()
def averaged(mean: State, state: Mapping[str, Tensor], memory: float) -> State:
    """Return the running mean of a state, `memory` of it being the old one; counters are those of the state."""
    return {
        name: torch.lerp(tensor.detach(), mean[name], memory) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in state.items()
    }
