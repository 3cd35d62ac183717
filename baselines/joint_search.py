"""Joint search and training: sampled sub-networks are trained one after the other and written back."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.pruning.gumbel import gumbel
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import State, copied
from benchmark.space import SearchSpace
from benchmark.training.loop import loss_of

RATIOS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)  # what a layer may keep of its importance, before the budget is met
BASELINE = 0.5  # of the running mean of the losses, per round


class JointSearch(Pruner):
    """Sample a sub-network of the budget, train it, write its weights back into the large model, and sample again.

    Every unit has a learnable importance. A group keeps its most important units: the first ones whose share in the
    softmax over the group adds up to a threshold, drawn for every group from a policy that learns by REINFORCE. Noise
    on the importance makes neighbours come and go; it dies down, as does the learning rate, so that the search goes
    from coarse to fine. After a round's training the kept units' importance moves against the held-out loss.
    Lu et al. 2020, Beyond Network Pruning: a Joint Search-and-Training Approach, IJCAI.

    Of the paper's settings only those of its authors' later code were known, and three things differ from it on
    purpose. What is written back are the trained weights, not those from before. The policy is rewarded by how far a
    round's loss lies below the running mean, which alone can tell rounds apart, and is a table per group: a few rounds
    teach no network. Thresholds have no tie to a budget: all are multiplied by one number, so that every sample meets
    it within one unit. Ours as well: the importance selects and does not scale, as batch norm undoes a scale, so
    it moves by the derivative at open gates; blocks have an importance as channels do; each budget has one training of
    the suite's recipe, cut into rounds, and its importance goes as far in all as it can there. The last round, which
    stands for the paper's fine-tuning, is longer, has no noise and the likeliest thresholds, and its sub-network is
    kept.
    """

    name = "joint_search"
    label = "JST"
    reference = "Lu et al. 2020, IJCAI"
    color = "#CC6677"
    marker = "star8"
    granularities = ("channel", "block+channel")
    trains = True

    class Parameters(Section):
        """Lengths and sizes.

        `rounds`, the last of which takes `final` of the recipe's steps, the others the rest evenly; `tuning`: the steps
        of the importance, as a share of those of the weights; `travel` of an importance whose derivative is 1
        throughout, in all; `perturbation`: the noise's size in the first round, from which it falls evenly to zero in
        the last; `policy_lr`.
        """

        rounds: Count = 10
        tuning: Annotated[float, Field(gt=0, le=1)] = 0.125
        travel: NonNegative = 2.0
        final: Annotated[float, Field(gt=0, le=1)] = 0.4
        perturbation: NonNegative = 0.05
        policy_lr: Positive = 0.1

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the large model's weights after the last write-back."""
        return [self._searched(problem, number) for number in range(len(problem.budgets))]

    def _searched(self, problem: Problem, number: int) -> SubNetwork:
        p = self.parameters
        space, budget, steps = problem.space, problem.budgets[number], problem.recipe.steps
        noise = problem.generator("perturbation", number)
        importance = torch.rand(space.n, generator=problem.generator("importance", number), dtype=torch.float64)
        policy = Policy(len(space.groups), p.policy_lr, problem.generator("thresholds", number))
        per_round = max(1, round(p.tuning * steps / p.rounds))
        moves = max(1, p.rounds - 1) * per_round
        recipe = problem.recipe.model_copy(update={"steps": moves})
        held_out = problem.batches(problem.validation, recipe, "importance", number)
        state = problem.initial()
        for turn in range(p.rounds):
            last = turn == p.rounds - 1
            ratios = policy.likeliest() if last else policy.drawn()
            size = 0.0 if last else p.perturbation * (1 - turn / (p.rounds - 1))
            scores = entering(space, importance + size * gumbel(space.n, noise), ratios)
            mask = space.project(scores, budget)
            start, stop = (step_of(part, p.rounds, steps, p.final) for part in (turn, turn + 1))
            state = written_back(space, state, problem.retrain(mask, state, start, stop), mask)
            if not last:
                loss, moved = tuned(problem, state, mask, held_out, per_round)
                importance -= p.travel / moves * moved
                policy.learn(loss)
                step = max(0, stop - 1)  # the first rounds of a very short training have none
                complexity = space.complexity(mask)
                problem.trace.append(
                    {"step": step, "loss": loss, "baseline": policy.baseline, "complexity": complexity}
                )
            problem.progress((number + (turn + 1) / p.rounds) / len(problem.budgets))
        notes = {
            "unprojected": space.complexity(scores > -1),
            "threshold": -float(scores[mask].min()),
        }
        kept = space.project(problem.apply_inversion(scores), budget)
        return SubNetwork(budget, kept, state, "the last round's sub-network", notes)


def step_of(turn: int, rounds: int, steps: int, final: float) -> int:
    """Return the step with which round `turn` begins; `rounds` are of equal length but for the last one's `final`."""
    return steps if turn == rounds else round(steps * (1 - final) * turn / max(1, rounds - 1))


def entering(space: SearchSpace, importance: Tensor, ratios: Tensor) -> Tensor:
    """Return scores [n]: minus the factor on all thresholds `ratios` [groups] beyond which a unit is kept.

    A group keeps the fewest units, most important first, whose shares in its softmax add up to its threshold: so a unit
    is kept once the threshold exceeds the shares before it. The first of a group scores 0.
    """
    result = torch.empty_like(importance)
    for place, group in enumerate(space.groups):
        part = space.offsets[group.name]
        shares, order = importance[part].softmax(0).sort(descending=True, stable=True)
        result[part][order] = -(shares.cumsum(0) - shares) / ratios[place]
    return result


def written_back(space: SearchSpace, large: Mapping[str, Tensor], trained: Mapping[str, Tensor], mask: Tensor) -> State:
    """Return the large model's state with what `mask` [n] keeps taken from `trained`."""
    ones = {name: torch.ones_like(tensor) for name, tensor in large.items()}
    kept = space.restore(space.shrink(ones, mask), mask)
    return {name: torch.where(kept[name] != 0, trained[name], tensor) for name, tensor in large.items()}


def tuned(
    problem: Problem, state: State, mask: Tensor, held_out: Iterator[tuple[Tensor, Tensor]], steps: int
) -> tuple[float, Tensor]:
    """Return the mean held-out loss of a sub-network over `steps` batches, and the sum of its derivatives [n].

    The derivatives are those by the open gates of the kept units; others have none.
    """
    total, moved = 0.0, torch.zeros(problem.space.n, dtype=torch.float64)
    for _ in range(steps):
        images, labels = next(held_out)
        gates = mask.float().to(problem.device).requires_grad_()
        # A copy: held-out batches must not enter the statistics that are inherited.
        loss = loss_of(problem.gated_logits(copied(state), gates, images), labels)
        problem.charge(problem.dense_macs, len(labels))
        (gradient,) = torch.autograd.grad(loss, gates)
        total += float(loss.detach())
        moved += gradient.cpu().double() * mask.cpu()
    return total / steps, moved


class Policy:
    """A distribution over `RATIOS` for every group, which learns from the losses of what it drew."""

    def __init__(self, groups: int, lr: float, draws: torch.Generator) -> None:
        self.logits = torch.zeros(groups, len(RATIOS), requires_grad=True)
        self.baseline = float("nan")
        self._optimizer = torch.optim.Adam([self.logits], lr=lr)
        self._draws = draws

    def drawn(self) -> Tensor:
        """Return a threshold for every group [groups], drawn."""
        self._chosen = torch.multinomial(self.logits.detach().softmax(1), 1, generator=self._draws)
        return torch.tensor(RATIOS, dtype=torch.float64)[self._chosen[:, 0]]

    def likeliest(self) -> Tensor:
        """Return the likeliest threshold of every group [groups]."""
        return torch.tensor(RATIOS, dtype=torch.float64)[self.logits.detach().argmax(1)]

    def learn(self, loss: float) -> None:
        """Make what was drawn last likelier by how far its loss lies below the running mean of the losses before."""
        if self.baseline != self.baseline:
            self.baseline = loss  # of the first round nobody knows whether it is good
        chances = self.logits.log_softmax(1).gather(1, self._chosen).sum()
        (gradient,) = torch.autograd.grad(-(self.baseline - loss) * chances, self.logits)
        self.logits.grad = gradient
        self._optimizer.step()
        self.baseline = BASELINE * self.baseline + (1 - BASELINE) * loss
