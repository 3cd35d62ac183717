"""Differentiable architecture pruning, the method under study."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.dap.cost_weight import CostWeight, DualAscent, Penalty
from benchmark.dap.depth import starting_blocks
from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw, WeightLaw
from benchmark.dap.search import Settings, search
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class DAP(Pruner):
    """Complexity-penalised subset selection by a two-temperature relaxation, scored against a law of weights.

    Colombo & Gao 2021, Differentiable Architecture Pruning for Transfer Learning, arXiv 2107.03375, reconstructed
    from its abstract; the law of weights, the dual ascent, the tying of exchangeable units and the depth that is tried
    first are this project's. By default the forward gates are annealed to the hard step and the backward slope stays
    that of a wider sigmoid.
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
    )

    class Parameters(Section):
        """The search's settings.

        `law` of weights: `restart` (`restarts` trainings, each with `warmup` weight steps before the architecture
        moves), `init` or `pretrained` (with relative `noise`). `steps` of the architecture and `warmup` are by default
        a quarter of the source recipe's steps each: with one restart, 0.75 pretrainings in all. `tau_low` of the
        forward gates, 0 being the hard step, reached from `anneal_from` if given; `tau_high` of the backward slope.
        `travel` is how far the logits go in all under steps of unit size. `constraint`: the price of complexity follows
        the falling budget by dual ascent (`dual_rate`, `damping`; the budget is held at its lowest for the last `hold`
        of the steps), or as a `penalty` rises evenly to `highest`. `searches`: one for all budgets or each of its own.
        `exchangeable` ties the channels of a layer to a width, beside blocks that move each on its own; None ties them
        where the law makes them so. `spread` of tied widths: the restart law's weights are trained as those of random
        architectures around the present one; 0 trains the present one. `trials`: pretrainings that the choice of the
        depth to start from may cost, where there are blocks; 0 starts from all of them.
        """

        law: Literal["init", "restart", "pretrained"] = "restart"
        steps: Count | None = None
        restarts: Count = 1
        warmup: Annotated[int, Field(ge=0)] | None = None
        noise: NonNegative = 0.0
        tau_low: NonNegative = 0.0
        tau_high: Positive = 1.0
        anneal_from: Positive | None = 0.3
        travel: Positive = 4.0
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
        """Return architectures from one search path or several, with the restart law's own weights or else none."""
        p = self.parameters
        recipe = problem.recipe.steps
        steps = max(p.restarts, recipe // 4) if p.steps is None else p.steps
        warmup = recipe // 4 if p.warmup is None else p.warmup
        fresh = problem.space.granularity in ("channel", "block+channel") and p.law != "pretrained"
        tied = fresh if p.exchangeable is None else p.exchangeable
        settings = Settings(
            steps=steps,
            tau_low=p.tau_low,
            tau_high=p.tau_high,
            anneal_from=p.anneal_from,
            lr=p.travel / steps,
            hold=p.hold,
            tied=tied,
            spread=p.spread if tied else 0.0,
            on=starting_blocks(problem, p.trials) if problem.space.blocks and p.trials > 0 else None,
        )
        paths = [problem.budgets] if p.searches == "one" else [(budget,) for budget in problem.budgets]
        found = []
        for number, budgets in enumerate(paths):
            law, pressure = self._law(problem, steps, warmup), self._pressure()
            found += search(problem, law, pressure, settings, budgets, _part(problem.progress, number, len(paths)))
        return found

    def _law(self, problem: Problem, steps: int, warmup: int) -> WeightLaw:
        p = self.parameters
        if p.law == "init":
            return InitialLaw(problem)
        if p.law == "pretrained":
            return PretrainedLaw(problem, p.noise)
        return RestartLaw(problem, steps, p.restarts, warmup)

    def _pressure(self) -> CostWeight:
        p = self.parameters
        return DualAscent(p.dual_rate, p.damping) if p.constraint == "dual" else Penalty(p.highest)


def _part(progress: Callable[[float], None], number: int, parts: int) -> Callable[[float], None]:
    """The progress of one of several searches, told as that of all."""
    return lambda share: progress((number + share) / parts)
