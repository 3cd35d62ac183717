"""Iterative magnitude pruning with rewinding."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Section
from benchmark.errors import BenchError
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.space import SearchSpace


class LotteryTicket(Pruner):
    """Train, drop a share of what remains by global magnitude, rewind the rest, and repeat.

    Each round leaves (1 - `drop`) of the round before's cost, or stops at a budget that lies in between, so that every
    budget gets a mask of its own round. Its weights are those of the trained ticket. `rewind` = 0 goes back to the
    initial weights (Frankle & Carbin 2018, arXiv 1803.03635), k > 0 to those after k training steps, and trains the
    steps that are left (Frankle et al. 2019, arXiv 1903.01611).
    """

    name = "lottery_ticket"
    reference = "Frankle & Carbin 2018, arXiv 1803.03635; Frankle et al. 2019, arXiv 1903.01611"
    label = "lottery ticket"
    color = "#56B4E9"
    marker = "v"
    trains = True
    nested = True
    examples = ({"rewind": 2},)

    class Parameters(Section):
        """`drop` per round, `rewind` in training steps, `norm` of a channel's filters.

        `scope` compares the norms of different layers as they are (`raw`), which empties layers of small filters, or
        divided by the filter's size (`normalised`); for single weights both are one.
        """

        drop: Annotated[float, Field(gt=0, lt=1)] = 0.2
        rewind: Annotated[int, Field(ge=0)] = 0
        norm: Literal["l1", "l2"] = "l1"
        scope: Literal["raw", "normalised"] = "raw"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return tickets with their trained weights; `BenchError` when rewinding leaves no step to train."""
        space, rewind = problem.space, self.parameters.rewind
        if rewind >= problem.recipe.steps:
            raise BenchError(
                f"lottery_ticket: rewind {rewind} must lie below the {problem.recipe.steps} steps it trains"
            )
        mask = path = torch.ones(space.n, dtype=torch.bool)
        start = problem.initial()
        if rewind > 0:
            start = problem.retrain(mask, start, stop=rewind)
        trained = problem.retrain(mask, start, start=rewind)
        complexity, tickets = 1.0, []
        for budget in problem.budgets:
            while complexity > budget:
                complexity = max(budget, (1 - self.parameters.drop) * complexity)
                norms = magnitude_importance(
                    space, trained, self.parameters.norm, per_entry=self.parameters.scope == "normalised"
                )
                scores = problem.apply_inversion(norms).where(mask, -1.0)
                path = _path(space, scores, mask, path)
                # A small unit that was dropped would otherwise come back to fill what a large one leaves.
                mask = mask & space.project(scores.masked_fill(path, torch.inf), complexity)
                trained = problem.retrain(mask, start, start=rewind)
            tickets.append(SubNetwork(budget, mask, trained))
            problem.progress(len(tickets) / len(problem.budgets))
        return tickets


def _path(space: SearchSpace, scores: Tensor, mask: Tensor, before: Tensor) -> Tensor:
    """The units no architecture can lack: by the present scores, or those of `before` if that needs a dropped unit."""
    path = space.project(scores, space.minimum)
    return path if bool(mask[path].all()) else before
