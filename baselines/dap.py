"""Differentiable architecture pruning, the method under study."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from benchmark.config import Count, NonNegative, Positive, Section
from benchmark.dap.laws import InitialLaw, PretrainedLaw, RestartLaw, WeightLaw
from benchmark.dap.search import Settings, search
from benchmark.pruner import Problem, Pruner, SubNetwork


class DAP(Pruner):
    """Complexity-penalised subset selection by a two-temperature relaxation, scored against a law of weights.

    Colombo & Gao 2021, Differentiable Architecture Pruning for Transfer Learning, arXiv 2107.03375, reconstructed
    from its abstract; the law of weights, the dual ascent and the tying of exchangeable units are this project's.
    """

    name = "dap"
    reference = "Colombo & Gao 2021, arXiv 2107.03375 (our reconstruction)"

    class Parameters(Section):
        """The search's settings.

        `law` of weights: `restart` (`restarts` trainings, each with `warmup` weight steps before the architecture
        moves), `init` or `pretrained` (with relative `noise`). `tau_low` of the forward gates, 0 being the hard step,
        reached from `anneal_from` if given; `tau_high` of the backward slope. `lr` of the logits; `dual_rate` and
        `damping` of the multiplier; the falling budget is held at its lowest for the last `hold` of the `steps`.
        `exchangeable` ties the channels of a layer to a width; None ties them where the law makes them exchangeable.
        """

        law: Literal["init", "restart", "pretrained"] = "restart"
        steps: Count = 40
        restarts: Count = 2
        warmup: Annotated[int, Field(ge=0)] = 20
        noise: NonNegative = 0.0
        tau_low: NonNegative = 0.0
        tau_high: Positive = 1.0
        anneal_from: Positive | None = None
        lr: Positive = 0.1
        dual_rate: NonNegative = 0.2
        damping: NonNegative = 5.0
        hold: Annotated[float, Field(ge=0, lt=1)] = 0.1
        exchangeable: bool | None = None

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.tau_low > self.tau_high:
                raise ValueError(f"tau_low ({self.tau_low}) must not exceed tau_high ({self.tau_high})")
            if self.anneal_from is not None and self.anneal_from < self.tau_low:
                raise ValueError(f"anneal_from ({self.anneal_from}) must not lie below tau_low ({self.tau_low})")
            if self.restarts > self.steps:
                raise ValueError(f"restarts ({self.restarts}) must not exceed steps ({self.steps})")
            return self

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures from one search path, with the restart law's own weights or else none."""
        p = self.parameters
        fresh = problem.space.granularity == "channel" and p.law != "pretrained"
        settings = Settings(
            steps=p.steps,
            tau_low=p.tau_low,
            tau_high=p.tau_high,
            anneal_from=p.anneal_from,
            lr=p.lr,
            dual_rate=p.dual_rate,
            damping=p.damping,
            hold=p.hold,
            exchangeable=fresh if p.exchangeable is None else p.exchangeable,
        )
        return search(problem, self._law(problem), settings)

    def _law(self, problem: Problem) -> WeightLaw:
        p = self.parameters
        if p.law == "init":
            return InitialLaw(problem)
        if p.law == "pretrained":
            return PretrainedLaw(problem, p.noise)
        return RestartLaw(problem, p.steps, p.restarts, p.warmup)
