"""Differentiable architecture pruning, the method under study."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from benchmark.config.params import Count, Distinct, NonNegative, Positive, Section
from benchmark.dap.cost_weight import CostWeight, DualAscent, Penalty
from benchmark.dap.depth import starting_blocks
from benchmark.dap.halving import halved
from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw, WeightLaw
from benchmark.dap.near import Nearby
from benchmark.dap.search import Settings, copied, search
from benchmark.dap.trade import trade
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class DAP(Pruner):
    """Complexity-penalised subset selection by a two-temperature relaxation, scored against a law of weights.

    Colombo & Gao 2021, Differentiable Architecture Pruning for Transfer Learning, arXiv 2107.03375, reconstructed
    from its abstract; the law of weights, the tying of exchangeable units, the depth that is tried first, the trade of
    widths at equal cost near a budget and the dual ascent elsewhere are this project's. By default the forward gates
    are annealed to the hard step and the backward slope stays that of a wider sigmoid.
    """

    name = "dap"
    reference = "Colombo & Gao 2021, arXiv 2107.03375 (our reconstruction)"
    label = "DAP"
    color = "#D55E00"
    marker = "o"
    trains = True
    examples = (
        {"exchangeable": False},
        {"law": "pretrained", "noise": 0.1},
        {"tau_low": 0.5, "tau_high": 1.0, "anneal_from": None},
        {"near": None},
        {"lengths": [1.0], "spread": 1.0},
    )

    class Parameters(Section):
        """The search's settings.

        `near`: where channels are tied to widths, every budget is searched in a network of so many times its cost at
        most, at equal cost throughout; how far the widths then go, of the `lengths` of the way that was found, is
        decided by trainings that cost about `confirm` pretrainings per budget. None: one search path from the large
        model through all budgets, or with `searches: each` one for each; there the price of complexity follows the
        falling budget by dual ascent (`constraint`, `dual_rate`, `damping`), or as a `penalty` rises evenly to
        `highest`. The budget is held at its lowest for the last `hold` of the steps.
        `law` of weights: `restart` (`restarts` trainings, each with `warmup` weight steps before the architecture
        moves), `init` or `pretrained` (with relative `noise`). `steps` of the architecture and `warmup` are by default
        a quarter of the source recipe's steps each. `tau_low` of the forward gates, 0 being the hard step, reached from
        `anneal_from` if given; `tau_high` of the backward slope. `travel` is how far the logits go in all under steps
        of unit size (None: 1 near a budget, 4 from the large model).
        `exchangeable` ties the channels of a layer to a width, beside blocks that move each on its own; None ties them
        where the law makes them so. `spread` of tied widths: the restart law's weights are trained as those of random
        architectures around the present one; 0 trains the present one. `trials`: pretrainings that the choice of the
        depth to start from may cost, where there are blocks; 0 starts from all of them. Near a budget that depth stays.
        """

        near: Annotated[float, Field(gt=1)] | None = 3.0
        lengths: Distinct[NonNegative] = Field(default_factory=lambda: [0.0, 1.0, 2.0])
        confirm: NonNegative = 0.1
        law: Literal["init", "restart", "pretrained"] = "restart"
        steps: Count | None = None
        restarts: Count = 1
        warmup: Annotated[int, Field(ge=0)] | None = None
        noise: NonNegative = 0.0
        tau_low: NonNegative = 0.0
        tau_high: Positive = 1.0
        anneal_from: Positive | None = 0.3
        travel: Positive | None = None
        constraint: Literal["dual", "penalty"] = "dual"
        dual_rate: NonNegative = 0.2
        damping: NonNegative = 5.0
        highest: NonNegative = 8.0
        hold: Annotated[float, Field(ge=0, lt=1)] = 0.1
        searches: Literal["one", "each"] = "one"
        exchangeable: bool | None = None
        spread: NonNegative = 0.0
        trials: NonNegative = 0.5

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.tau_low > self.tau_high:
                raise ValueError(f"tau_low ({self.tau_low}) must not exceed tau_high ({self.tau_high})")
            if self.anneal_from is not None and self.anneal_from < self.tau_low:
                raise ValueError(
                    f"anneal_from ({self.anneal_from}) must not lie below tau_low ({self.tau_low}); null: none"
                )
            if self.steps is not None and self.restarts > self.steps:
                raise ValueError(f"restarts ({self.restarts}) must not exceed steps ({self.steps})")
            return self

    def needs_pretrained(self) -> bool:
        """Return whether the law of weights starts from the pretrained ones."""
        return bool(self.parameters.law == "pretrained")

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures with the restart law's own weights or else none."""
        p, space = self.parameters, problem.space
        fresh = space.granularity in ("channel", "block+channel") and p.law != "pretrained"
        tied = fresh if p.exchangeable is None else p.exchangeable
        on = starting_blocks(problem, p.trials) if space.blocks and p.trials > 0 else None
        if p.near is not None and fresh and tied:
            return [self._near(problem, number, on) for number in range(len(problem.budgets))]
        settings = self._settings(problem, tied, on, travel=4.0)
        paths = [problem.budgets] if p.searches == "one" else [(budget,) for budget in problem.budgets]
        found = []
        for number, budgets in enumerate(paths):
            law, pressure = self._law(problem), self._pressure()
            found += search(problem, law, pressure, settings, budgets, _part(problem.progress, number, len(paths)))
        return found

    def _near(self, problem: Problem, number: int, on: Tensor | None) -> SubNetwork:
        """The sub-network of one budget: widths traded in its surroundings, as far as trainings confirm."""
        p = self.parameters
        assert p.near is not None
        nearby = Nearby(problem, problem.budgets[number], on, p.near)
        if nearby.fits or p.lengths == [0.0]:
            still = torch.zeros(len(nearby.problem.space.groups))
            return SubNetwork(nearby.budget, nearby.mask(still, 0.0), origin="equal shares of all widths")
        nearby.problem.progress = _part(problem.progress, number, len(problem.budgets))
        law = self._law(nearby.problem)
        traded = trade(nearby.problem, law, self._settings(nearby.problem, True, None, travel=1.0))
        nearby.hand_over()
        masks = [nearby.mask(traded.moves, length) for length in p.lengths]
        mask = halved(problem, masks, p.confirm)
        length = next(length for length, one in zip(p.lengths, masks, strict=True) if torch.equal(one, mask))
        return SubNetwork(
            nearby.budget,
            mask,
            problem.space.embed(copied(traded.state), nearby.start) if law.own_weights else None,
            f"{length:g} of the way that widths were traded within {p.near:g} times the budget",
            {"relaxed": traded.relaxed, "discrete": traded.discrete, "length": length},
        )

    def _settings(self, problem: Problem, tied: bool, on: Tensor | None, travel: float) -> Settings:
        p = self.parameters
        steps = self._steps(problem)
        return Settings(
            steps=steps,
            tau_low=p.tau_low,
            tau_high=p.tau_high,
            anneal_from=p.anneal_from,
            lr=(travel if p.travel is None else p.travel) / steps,
            hold=p.hold,
            tied=tied,
            spread=p.spread if tied else 0.0,
            on=on,
        )

    def _steps(self, problem: Problem) -> int:
        p = self.parameters
        return max(p.restarts, problem.recipe.steps // 4) if p.steps is None else p.steps

    def _law(self, problem: Problem) -> WeightLaw:
        p = self.parameters
        if p.law == "init":
            return InitialLaw(problem)
        if p.law == "pretrained":
            return PretrainedLaw(problem, p.noise)
        warmup = problem.recipe.steps // 4 if p.warmup is None else p.warmup
        return RestartLaw(problem, self._steps(problem), p.restarts, warmup)

    def _pressure(self) -> CostWeight:
        p = self.parameters
        return DualAscent(p.dual_rate, p.damping) if p.constraint == "dual" else Penalty(p.highest)


def _part(progress: Callable[[float], None], number: int, parts: int) -> Callable[[float], None]:
    """The progress of one of several searches, told as that of all."""
    return lambda share: progress((number + share) / parts)
