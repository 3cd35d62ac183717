"""The search of DAP: gradient steps on the units' logits against a law of weights, along a falling budget."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmark.dap.cost_weight import CostWeight, falling_budget
from benchmark.dap.laws import State, WeightLaw
from benchmark.dap.relaxation import gates, slope, undecided
from benchmark.dap.units import Units, filled
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.space import SearchSpace
from benchmark.training.loop import Task, loss_of

SMOOTHING = 0.9  # of the running size of the loss gradient
SHOWN = 500  # held-out images at most, to compare the relaxed with the discrete network


@dataclass(frozen=True)
class Settings:
    """What the search must know beside the law: see `benchmark.dap.pruner.DAP`.

    `lr` is that of one step; `on` the blocks that are on at the start (None: all).
    """

    steps: int
    tau_low: float
    tau_high: float
    anneal_from: float | None
    lr: float
    hold: float
    tied: bool
    spread: float
    on: Tensor | None = None


def search(
    problem: Problem,
    law: WeightLaw,
    pressure: CostWeight,
    settings: Settings,
    budgets: Iterable[float],
    progress: Callable[[float], None],
) -> list[SubNetwork]:
    """Return one sub-network per budget, from one search whose falling budget passes them all.

    Each step: the law gives weights; the loss on held-out source data and the logarithm of the complexity are
    differentiated at the forward gates; the logits move against both, through the backward temperature's slope. The
    two gradients are each divided by their own root mean square, that over blocks and that over channels apart, so that
    one step size serves every network and granularity. The first time the discrete architecture fits a budget, the
    logits are set aside for it.
    """
    budgets = tuple(budgets)
    space, units = problem.space, Units.of(problem.space, settings.tied, problem.device, settings.on)
    logits = units.start
    recipe = problem.recipe.model_copy(update={"steps": settings.steps})
    one = "of one search for all budgets" if len(budgets) > 1 else "of a search for this budget"
    passed: dict[float, SubNetwork] = {}
    running: list[float] = []
    draws = problem.generator("neighbours")
    for step, (images, labels) in enumerate(problem.batches(problem.validation, recipe, "scores")):
        low = temperature(step, settings)
        raised = filled(space, logits)
        chosen = gates(raised, low)
        state = law.sample(step, partial(around, space, units, logits, settings.spread, draws, chosen))
        complexity = space.complexity((raised > 0).float())
        for budget in budgets:
            if complexity <= budget and budget not in passed:
                at = f"passed at step {step} of {settings.steps} {one}"
                passed[budget] = _set_aside(problem, law, logits, state, low, budget, at)
        loss, towards_loss, towards_cost = gradients(problem, state, chosen, images, labels)
        weight = pressure.weight(
            complexity, falling_budget(step, settings.steps, min(budgets), settings.hold), (step + 1) / settings.steps
        )
        through = slope(raised, settings.tau_high)
        by_loss, by_cost = units.moved(through * towards_loss), units.moved(through * towards_cost)
        squares = units.mean_squares(by_loss)
        kept = SMOOTHING if running else 0.0
        past = running or squares
        running = [kept * old + (1 - kept) * new for old, new in zip(past, squares, strict=True)]
        towards = units.scaled(by_loss, running) + units.scaled(weight * by_cost, units.mean_squares(by_cost))
        logits = logits - settings.lr * towards
        problem.trace.append(
            {
                "step": step,
                "loss": loss,
                "complexity": complexity,
                "multiplier": pressure.multiplier,
                "undecided": undecided(logits, settings.tau_high),
            }
        )
        progress((step + 1) / settings.steps)
    at = f"cut from the end {one}"
    return [passed.get(b) or _set_aside(problem, law, logits, state, low, b, at) for b in budgets]


def gradients(
    problem: Problem, state: State, chosen: Tensor, images: Tensor, labels: Tensor
) -> tuple[float, Tensor, Tensor]:
    """Return the loss on held-out images, its gradient at the gates `chosen` [n], and that of the cost's logarithm."""
    at = chosen.detach().requires_grad_()
    loss = loss_of(problem.gated_logits(_shielded(problem, state), at, images), labels)
    (towards_loss,) = torch.autograd.grad(loss, at)
    (towards_cost,) = torch.autograd.grad(problem.space.cost(at).log(), at)
    problem.charge(problem.dense_macs, len(labels))
    return float(loss.detach()), towards_loss, towards_cost


def temperature(step: int, settings: Settings) -> float:
    """Return the forward temperature of a step: `tau_low`, reached linearly from `anneal_from` if that is set."""
    if settings.anneal_from is None:
        return settings.tau_low
    left = 1 - step / max(1, settings.steps - 1)
    return settings.tau_low + left * (settings.anneal_from - settings.tau_low)


def around(
    space: SearchSpace, units: Units, logits: Tensor, spread: float, draws: torch.Generator, present: Tensor
) -> Tensor:
    """Return the gates of one weight step: the present ones, or with a spread those of an architecture around."""
    if spread == 0:
        return present
    return gates(filled(space, units.scattered(logits, spread, draws)), 0.0)


def _set_aside(
    problem: Problem, law: WeightLaw, logits: Tensor, state: State, low: float, budget: float, origin: str
) -> SubNetwork:
    """Cut the budget's architecture, and note how far the relaxed network is from the discrete one it becomes."""
    mask = problem.space.project(problem.apply_inversion(logits.cpu()), budget)
    notes = {
        "relaxed": accuracy_seen(problem, state, gates(filled(problem.space, logits), low)),
        "discrete": accuracy_seen(problem, state, mask.to(logits)),
    }
    return SubNetwork(budget, mask, copied(state) if law.own_weights else None, origin, notes)


@torch.no_grad()
def accuracy_seen(problem: Problem, state: State, gates: Tensor) -> float:
    """Return the accuracy on held-out images as the search sees it: by the batch's statistics."""
    task: Task = problem.validation
    index = torch.arange(min(SHOWN, len(task)), device=task.labels.device)
    images = task.normalise(task.pixels(index)).contiguous(memory_format=torch.channels_last)
    logits = problem.gated_logits(_shielded(problem, state), gates, images)
    problem.charge(problem.dense_macs, len(index), training=False)
    return float((logits.argmax(-1) == task.labels[index]).float().mean())


def _shielded(problem: Problem, state: State) -> State:
    """The state without gradients, its statistics copied: held-out batches must not enter what is inherited."""
    weights = {name for name, _ in problem.network.named_parameters()}
    return {name: t.detach() if name in weights else t.detach().clone() for name, t in state.items()}


def copied(state: State) -> State:
    """Return the weights in tensors of their own: a law goes on with those it gave."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}
