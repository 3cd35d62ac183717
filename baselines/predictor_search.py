"""Evolution on a predictor, in a supernet of elastic widths."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from benchmark.config.params import Count, Positive, Section
from benchmark.pruning.elastic import Choices, width_scores
from benchmark.pruning.evolution import evolve
from benchmark.pruning.predictors import fitted
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.shared_weights import SharedWeights, State, recalibrated
from benchmark.training.loop import loss_of

Levels = tuple[int, ...]
Measured = dict[Levels, float]
TRIES = 100  # at a neighbour that was not measured before


class PredictorSearch(Pruner):
    """Measure a few sub-networks of a supernet, predict the others, and breed the next to measure on the predictions.

    Every round measures its architectures' source validation accuracy, fits a predictor to all that was measured, and
    lets NSGA-II minimise predicted error and the logarithm of the exact cost; its last population is measured next.
    LINAS: Cummings et al. 2022, arXiv 2202.12934 (rounds, predictors, NSGA-II and its settings).

    Ours: the source searches a supernet that others trained. Here the large model is trained by the sandwich rule (the
    largest and smallest sub-networks and random ones at every step, the smaller ones on the largest one's outputs; Yu &
    Huang 2019, arXiv 1903.05134), widths are prefixes at 13 shares of a group, blocks the first ones of a stage, and
    batch norm is recalibrated for every measurement. The first population is spread log-uniformly over the cost,
    architectures measured before are replaced by neighbours, and predictors are chosen by mean absolute error, as a
    relative one explodes. Each budget takes the best measured architecture that fits, and the projection fills it up.
    """

    name = "predictor_search"
    label = "LINAS"
    reference = "Cummings et al. 2022, arXiv 2202.12934"
    granularities = ("channel", "block+channel")
    trains = True

    class Parameters(Section):
        """Lengths and sizes.

        `length` of the supernet's training as a share of the recipe's steps, each of which trains `random` sub-networks
        beside the largest and the smallest; `evaluations` measured in all, `population` of them (an even number) in a
        round; `generations` of NSGA-II per round; `statistics`: the batches that recalibrate batch norm.
        """

        length: Positive = 1.0
        random: Count = 2
        evaluations: Count = 100
        population: Annotated[int, Field(ge=4, multiple_of=2)] = 20
        generations: Count = 50
        statistics: Count = 4

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget, with the supernet's weights and its own batch norm statistics."""
        p = self.parameters
        choices = Choices.of(problem.space)
        state = sandwich(problem, choices, max(1, round(p.length * problem.recipe.steps)), p.random)
        measured = self._measured(problem, choices, state)
        found = []
        for budget in problem.budgets:
            levels = best(choices, measured, budget)
            kept = torch.tensor(levels)
            scores = problem.apply_inversion(width_scores(problem.space, choices.kept(kept)))
            mask = problem.space.project(scores, budget)
            notes = {
                "unprojected": choices.complexity(kept),
                "measured_accuracy": measured[levels],
                "measured": float(len(measured)),
            }
            own = recalibrated(problem, state, mask, p.statistics, "kept")
            found.append(SubNetwork(budget, mask, own, "best measured architecture that fits", notes))
        problem.progress(1.0)
        return found

    def _measured(self, problem: Problem, choices: Choices, state: State) -> Measured:
        """The accuracy of every architecture that the search looked at, by its levels."""
        p = self.parameters
        generator = problem.generator("evolution")
        # The smallest architecture fits every budget, so that each has something to choose.
        population: list[Levels] = [tuple(choices.smallest().tolist())]
        population += [tuple(choices.drawn(generator).tolist()) for _ in range(p.population - 1)]
        measured: Measured = {}
        new = list(dict.fromkeys(population))
        while new:
            for levels in new[: p.evaluations - len(measured)]:
                mask = choices.mask(torch.tensor(levels))
                own = recalibrated(problem, state, mask, p.statistics, "measured")
                measured[levels] = problem.evaluate(mask, own)
                problem.progress(0.5 + 0.5 * len(measured) / (p.evaluations + 1))
            if len(measured) >= p.evaluations:
                break
            population = self._bred(choices, measured, population, generator)
            new = fresh(population, set(measured), choices.largest(), generator)
        return measured

    def _bred(
        self, choices: Choices, measured: Measured, population: list[Levels], generator: torch.Generator
    ) -> list[Levels]:
        """The last population of NSGA-II on predictions from all that was measured."""
        errors = 1 - torch.tensor(list(measured.values()), dtype=torch.float64)
        predict = fitted(torch.tensor(list(measured)), errors, choices.levels)

        def objectives(levels: Tensor) -> Tensor:
            costs = torch.tensor([math.log(choices.complexity(one)) for one in levels], dtype=torch.float64)
            return torch.stack([predict(levels), costs], 1)

        top = choices.largest()
        bred = evolve(objectives, torch.tensor(population), top, self.parameters.generations, generator)
        return [tuple(one) for one in bred.tolist()]


def sandwich(problem: Problem, choices: Choices, steps: int, count: int) -> State:
    """Train the large model and its sub-networks together, from the initial weights; returns the shared weights."""
    net = SharedWeights(problem, problem.initial(), steps)
    generator = problem.generator("sandwich")
    for step, (images, labels) in enumerate(problem.batches(problem.train, net.recipe, "supernet")):
        full = net.logits(_gates(problem, choices.mask(choices.largest())), images)
        loss_of(full, labels, net.recipe.label_smoothing).backward()
        for levels in [choices.smallest(), *(choices.drawn(generator) for _ in range(count))]:
            distillation(net.logits(_gates(problem, choices.mask(levels)), images), full.detach()).backward()
        net.update()
        problem.progress(0.5 * (step + 1) / steps)
    return net.copied()


def _gates(problem: Problem, mask: Tensor) -> Tensor:
    return mask.float().to(problem.device)


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of two batches of logits [B, K], the mean over the batch."""
    return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True)


def best(choices: Choices, measured: Measured, budget: float) -> Levels:
    """Return the most accurate architecture within the budget; of equal ones the largest, then the first measured."""
    complexity = {levels: choices.complexity(torch.tensor(levels)) for levels in measured}
    fitting = [levels for levels in measured if complexity[levels] <= budget]
    return max(fitting, key=lambda levels: (measured[levels], complexity[levels]))


def fresh(population: list[Levels], known: set[Levels], top: Tensor, generator: torch.Generator) -> list[Levels]:
    """Return a population in which what is `known`, or already in it, is replaced by a neighbour.

    A neighbour is some steps of one level in one group away; where none is new within a hundred steps, there is one
    architecture less.
    """
    result: dict[Levels, None] = {}
    for levels in population:
        one = torch.tensor(levels)
        for _ in range(TRIES):
            if (here := tuple(one.tolist())) not in known and here not in result:
                result[here] = None
                break
            place = int(torch.randint(len(one), (), generator=generator))
            by = 2 * int(torch.randint(2, (), generator=generator)) - 1
            one[place] = min(max(int(one[place]) + by, 0), int(top[place]))
    return list(result)
