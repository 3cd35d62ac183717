"""Transformable architecture search: widths and depths drawn from Gumbel-softmax distributions that learn."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.pruning.elastic import Choices, width_scores
from benchmark.pruning.gumbel import gumbel, without_replacement
from benchmark.pruning.interpolation import Interpolation, mixture
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights, State, recalibrated
from benchmark.training.loop import Task, loss_of

START = 0.01  # standard deviation of the logits at first


class TAS(Pruner):
    """Learn a distribution over the width of every group, and over the depth of every stage; keep the likeliest.

    Weights and logits learn in turn, each on a half of the training part. Every step draws two widths per group by
    Gumbel-softmax, brings both to the larger one by channel interpolation and mixes them; depths are mixed with the
    shares of all of them. The logits' loss has the logarithm of the expected cost as a term of its own: it falls while
    the likeliest architecture costs more than the budget, rises while it costs too little, and is nothing in between.
    Dong & Yang 2019, Network Pruning via Transformable Architecture Search, arXiv 1905.09717.

    Ours: widths are those of `elastic.SHARES`, as the source's smallest leave out budgets below 9 %; each
    group has one width, residual sums included. Interpolation acts on the filters in front of batch norm, which so
    needs none of its own per width, and is recalibrated in the end. A block is gated by the probability that the depth
    reaches it. A search is far shorter than the source's, so the logits' step is given by the way they can go in all,
    and the dead band is a share of the budget, not of the large model, below which it would reach zero. Each budget has
    a search of its own; they share the weights, which go on from one to the next, at a learning rate that starts anew.
    Retrained without knowledge distillation, as every method of a suite is; with it in the variant `distilled`.
    """

    name = "tas"
    label = "TAS"
    reference = "Dong & Yang 2019, arXiv 1905.09717"
    color = "#117733"
    marker = "star7"
    granularities = ("channel", "block+channel")
    trains = True

    class Parameters(Section):
        """Lengths and sizes.

        `length` of all searches together as a share of the recipe's steps, each of which trains the weights and the
        logits; `travel` of a logit whose gradient keeps its sign, in one search; temperatures from `hot` to
        `cold` by half a cosine; `cost_weight`; `band`, the share of the budget that may be left unused;
        `logit_weight_decay`; `statistics`: the batches that recalibrate batch norm.
        """

        length: Positive = 1.25
        travel: Positive = 6.0
        hot: Positive = 5.0
        cold: Positive = 0.1
        cost_weight: NonNegative = 2.0
        band: Annotated[float, Field(ge=0, lt=1)] = 0.1
        logit_weight_decay: NonNegative = 1e-3
        statistics: Count = 4

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the shared weights as they are after its search."""
        choices = Choices.of(problem.space)
        steps = max(1, round(self.parameters.length * problem.recipe.steps / len(problem.budgets)))
        state = problem.initial()
        found = []
        for number, budget in enumerate(problem.budgets):
            sizes = Sizes(choices, problem, number)
            state = self._searched(problem, sizes, state, steps, number)
            kept = choices.kept(sizes.likeliest())
            scores = problem.apply_inversion(width_scores(problem.space, kept))
            mask = problem.space.project(scores, budget)
            notes = {
                "relaxed_complexity": float(sizes.expected_complexity().detach()),
                "unprojected": choices.complexity(sizes.likeliest()),
            }
            own = recalibrated(problem, state, mask, self.parameters.statistics, "kept", number)
            found.append(SubNetwork(budget, mask, own, "likeliest widths of a search for this budget", notes))
        return found

    def _searched(self, problem: Problem, sizes: "Sizes", state: State, steps: int, number: int) -> State:
        """Move the logits of `sizes` for the budget of this number; returns the weights trained meanwhile."""
        p = self.parameters
        net = SharedWeights(problem, state, steps)
        interpolation = Interpolation(problem.space)
        of_logits = torch.optim.Adam(
            sizes.logits, lr=p.travel / steps, betas=(0.5, 0.999), weight_decay=p.logit_weight_decay
        )
        for_weights, for_logits = halves(problem)
        seen = problem.batches(for_weights, net.recipe, "weights", number)
        held_out = problem.batches(for_logits, net.recipe, "logits", number)
        for step, ((images, labels), (others, their_labels)) in enumerate(zip(seen, held_out, strict=True)):
            tau = temperature(step, steps, p.hot, p.cold)
            with torch.no_grad():
                gates, mixtures = sizes.drawn(tau)
            problem.charge(problem.dense_macs, len(labels))
            logits = problem.gated_logits(interpolation.mixed(net.state, mixtures), gates, images)
            loss_of(logits, labels, net.recipe.label_smoothing).backward()
            net.update()

            gates, mixtures = sizes.drawn(tau)
            problem.charge(problem.dense_macs, len(their_labels))
            # A copy: what the logits learn from must not enter the running statistics.
            logits = problem.gated_logits(interpolation.mixed(net.copied(), mixtures), gates, others)
            discrete = sizes.choices.complexity(sizes.likeliest())
            expected = sizes.expected_complexity()
            loss = loss_of(logits, their_labels)
            price = cost_loss(expected, discrete, problem.budgets[number], p.band)
            gradients = torch.autograd.grad(loss + p.cost_weight * price, sizes.logits, materialize_grads=True)
            for logit, gradient in zip(sizes.logits, gradients, strict=True):
                logit.grad = gradient
            of_logits.step()
            problem.trace.append(
                {
                    "step": number * steps + step,
                    "loss": float(loss.detach()),
                    "complexity": discrete,
                    "expected": float(expected.detach()),
                }
            )
            problem.progress((number * steps + step + 1) / (len(problem.budgets) * steps))
        return net.copied()


class Sizes:
    """A distribution over the choices of every group: `logits[g]` [choices of g], on the CPU, and its draws.

    Of a group of blocks, the choice is the depth of a stage: how many of its blocks are there, from the first on.
    """

    def __init__(self, choices: Choices, problem: Problem, number: int) -> None:
        space = problem.space
        start = problem.generator("logits", number)
        self._draws = problem.generator("sizes", number)
        self._device = problem.device
        self.choices = choices
        self.logits = [
            (START * torch.randn(len(counts), generator=start, dtype=torch.float64)).requires_grad_()
            for counts in choices.counts
        ]
        self._depth = [space.offsets[group.name].start < len(space.blocks) for group in space.groups]
        # Row j of a group's table is the mask of its choice j.
        self._tables = [
            (torch.arange(group.size) < torch.tensor(counts)[:, None]).double()
            for group, counts in zip(space.groups, choices.counts, strict=True)
        ]

    def likeliest(self) -> Tensor:
        """Return the architecture of the largest logits, as levels [groups]."""
        return torch.stack([logits.detach().argmax() for logits in self.logits])

    def expected_complexity(self) -> Tensor:
        """Return the complexity at the expected sizes, a scalar in double: each layer's cost times the sizes it has.

        A block counts with the probability that the depth reaches it. Groups are independent and the cost is
        multilinear in their sizes, so this is the mean complexity of the distribution.
        """
        shares = [logits.softmax(0) for logits in self.logits]
        gates = [share @ table for share, table in zip(shares, self._tables, strict=True)]
        return self.choices.space.cost(torch.cat(gates)) / self.choices.space.total

    def drawn(self, tau: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Return gates [n] and the mixture of every group of channels, by its name, of one draw at a temperature."""
        gates: list[Tensor] = []
        mixtures: dict[str, Tensor] = {}
        for place, group in enumerate(self.choices.space.groups):
            noisy = (self.logits[place].log_softmax(0) + gumbel(len(self.logits[place]), self._draws)) / tau
            if self._depth[place]:
                gates.append(noisy.softmax(0) @ self._tables[place])
                continue
            pair = without_replacement(noisy, 2, self._draws)
            widths = [self.choices.counts[place][one] for one in pair]
            gates.append(self._tables[place][max(pair)])
            mixtures[group.name] = mixture(group.size, widths, noisy[pair].softmax(0))
        return torch.cat(gates).float().to(self._device), mixtures


def cost_loss(expected: Tensor, discrete: float, budget: float, band: float) -> Tensor:
    """Return log `expected` above the budget, its negative below (1 - `band`) of it, and 0 in the dead band between.

    `discrete` is the complexity of the likeliest architecture, which tells the three apart.
    """
    if discrete > budget:
        return expected.log()
    if discrete < (1 - band) * budget:
        return -expected.log()
    return 0 * expected


def temperature(step: int, steps: int, hot: float, cold: float) -> float:
    """Return the temperature of a step: from `hot` to `cold` by half a cosine."""
    return cold + 0.5 * (hot - cold) * (1 + math.cos(math.pi * step / max(1, steps - 1)))


def halves(problem: Problem) -> tuple[Task, Task]:
    """Return a random half of the training part for the weights, and the other for the logits."""
    order = torch.randperm(len(problem.train), generator=problem.generator("halves")).to(problem.train.labels.device)
    middle = (len(order) + 1) // 2
    return problem.train.subset(order[:middle]), problem.train.subset(order[middle:])
