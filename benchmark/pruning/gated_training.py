"""Training weights and scores of units together, the units gated by a relaxation of their choice."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark import seeds
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.shared_weights import SharedWeights, recalibrated
from benchmark.space import SearchSpace
from benchmark.training.loop import batches, loss_of

Price = Callable[[float, int, int], float]  # of log C, from the complexity, the step and the number of steps
# What is added to the loss and the weight behind it, from the units counted as kept, the step and the number of steps.
Penalty = Callable[[Tensor, int, int], tuple[Tensor, float]]


class Relaxed(NamedTuple):
    """Relaxed units: the `gates` [n] that the network runs with, and how far each counts as `kept`, [n] in [0, 1]."""

    gates: Tensor
    kept: Tensor


class Relaxation(ABC):
    """How the trained `scores` [n] of the units become gates; the best one of every group is never closed."""

    def __init__(self, space: SearchSpace, scores: Tensor) -> None:
        self.space = space
        self.scores = scores.requires_grad_()

    @abstractmethod
    def step(self, share: float) -> Relaxed:
        """Return the units of the next step, after which `share` (0, 1] of the training is over.

        Differentiable in the scores.
        """

    @abstractmethod
    def final(self) -> Relaxed:
        """Return the units when the training is over: their gates become part of the weights."""

    def settle(self) -> None:  # noqa: B027 - most scores have no bounds
        """Bring the scores into their range after they moved."""


def best_of_groups(space: SearchSpace, scores: Tensor) -> Tensor:
    """Return the place of every group's highest score, int64 [groups]: units that no architecture can lack.

    Where they stay open, a group cannot shrink to small gates that the batch norm behind it scales up again, which
    costs next to nothing and is no architecture.
    """
    parts = scores.detach().split(space.sizes)
    starts = [part.start for part in space.offsets.values()]
    return torch.stack([start + part.argmax() for start, part in zip(starts, parts, strict=True)])


def training(
    problem: Problem,
    net: SharedWeights,
    units: Relaxation,
    travel: float,
    price: Price | None = None,
    penalty: Penalty | None = None,
) -> Iterator[int]:
    """Train the weights of `net` and the scores of `units` on the same batches; yields the steps done, after each.

    The batches are those of pretraining, in its order. The loss is the cross-entropy of the gated large model, with a
    `price` also that price times the logarithm of the relaxed complexity, with a `penalty` what that gives. Weights
    follow the suite's recipe. Scores take Adam's steps, by which a score whose gradient keeps its sign goes `travel` in
    all, however long the training is. Every pass is charged.
    """
    steps = net.recipe.steps
    optimizer = torch.optim.Adam([units.scores], lr=travel / steps)
    data = batches(problem.train, net.recipe, seeds.generator(problem.seed, "source-order"))
    for step, (images, labels) in enumerate(data):
        gates, kept = units.step((step + 1) / steps)
        loss = objective = loss_of(net.logits(gates, images), labels, net.recipe.label_smoothing)
        complexity = problem.space.cost(kept) / problem.space.total
        weight = 0.0 if price is None else price(float(complexity.detach()), step, steps)
        if weight:
            objective = loss + weight * complexity.log()
        if penalty is not None:
            added, weight = penalty(kept, step, steps)
            objective = loss + added
        objective.backward()
        net.update()
        optimizer.step()
        optimizer.zero_grad()
        units.settle()
        problem.trace.append(
            {
                "step": step,
                "loss": float(loss.detach()),
                "complexity": float(complexity.detach()),
                "multiplier": weight,
                "undecided": float(((kept > 0.05) & (kept < 0.95)).float().mean()),
            }
        )
        yield step + 1


@torch.no_grad()
def cut(
    problem: Problem, net: SharedWeights, units: Relaxation, scores: Tensor, budget: float, statistics: int
) -> SubNetwork:
    """Return the sub-network of the highest `scores` [n] that fit the budget, with the weights it was trained with.

    The final gates become part of the weights, as far as weights can hold them (no weights can hold that of a whole
    layer); batch norm takes its statistics from `statistics` training batches under the mask. The note
    `relaxed_complexity` is what the units counted as kept cost when the training was over.
    """
    mask = problem.space.project(problem.apply_inversion(scores.cpu()), budget)
    gates, kept = units.final()
    state = recalibrated(problem, problem.space.gate(net.copied(), gates), mask, statistics, "kept")
    relaxed = float(problem.space.cost(kept)) / problem.space.total
    return SubNetwork(budget, mask, state, notes={"relaxed_complexity": relaxed})
