"""Iterative magnitude pruning with rewinding."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config import Section
from benchmark.pruner import Problem, Pruner, SubNetwork
from benchmark.scores import magnitudes


class LotteryTicket(Pruner):
    """Train, drop a share of what remains by global magnitude, rewind the rest, and repeat.

    Each round leaves (1 - `drop`) of the round before's cost, or stops at a budget that lies in between, so that every
    budget gets a mask of its own round. Its weights are those of the trained ticket. `rewind` = 0 goes back to the
    initial weights (Frankle & Carbin 2018, arXiv 1803.03635), k > 0 to those after k training steps (Frankle et al.
    2019, arXiv 1903.01611).
    """

    name = "lottery_ticket"
    reference = "Frankle & Carbin 2018, arXiv 1803.03635; Frankle et al. 2019, arXiv 1903.01611"

    class Parameters(Section):
        """`drop` per round, `rewind` in training steps, `norm` of a channel's filters."""

        drop: Annotated[float, Field(gt=0, lt=1)] = 0.2
        rewind: Annotated[int, Field(ge=0)] = 0
        norm: Literal["l1", "l2"] = "l1"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return tickets with their trained weights."""
        space = problem.space
        mask = torch.ones(space.n, dtype=torch.bool)
        start = self._rewound(problem)
        trained = problem.retrain(mask, start)
        complexity, tickets = 1.0, []
        for budget in problem.budgets:
            while complexity > budget:
                complexity = max(budget, (1 - self.parameters.drop) * complexity)
                mask = self._pruned(problem, mask, trained, complexity)
                trained = problem.retrain(mask, start)
            tickets.append(SubNetwork(budget, mask, trained))
            problem.progress(len(tickets) / len(problem.budgets))
        return tickets

    def _rewound(self, problem: Problem) -> dict[str, Tensor]:
        state = problem.initial()
        if self.parameters.rewind == 0:
            return state
        return problem.retrain(torch.ones(problem.space.n, dtype=torch.bool), state, stop=self.parameters.rewind)

    def _pruned(self, problem: Problem, mask: Tensor, state: dict[str, Tensor], complexity: float) -> Tensor:
        scores = magnitudes(problem.space, state, self.parameters.norm)
        return problem.space.project(scores.where(mask, -1.0), complexity)
