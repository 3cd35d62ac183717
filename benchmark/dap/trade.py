"""Widths traded against one another at equal cost, by gradients through the two-temperature gates."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmark.dap.cost_weight import falling_budget
from benchmark.dap.laws import State, WeightLaw
from benchmark.dap.relaxation import gates, slope, undecided
from benchmark.dap.search import SMOOTHING, Settings, accuracy_seen, around, gradients, temperature
from benchmark.dap.units import Units, filled
from benchmark.pruning.problem import Problem
from benchmark.space import SearchSpace

HALVINGS = 32  # of the interval in which the common shift lies


@dataclass(frozen=True)
class Traded:
    """Where the trade led: how far each range of `space.alike` moved, in the logarithm of its width, and the weights.

    `relaxed` and `discrete` are the held-out accuracies of the gated network at the end and of the one cut from it.
    """

    moves: Tensor
    state: State
    relaxed: float
    discrete: float


def trade(problem: Problem, law: WeightLaw, settings: Settings) -> Traded:
    """Return how the widths should differ from equal shares of the large model's, at the problem's one budget.

    Every step, a common shift of all logits puts the discrete architecture exactly on the falling budget. The loss on
    held-out source data is differentiated at the forward gates through the backward temperature's slope, for each width
    as a whole; of that gradient the part along the gradient of the logarithm of the cost is taken out; the widths move
    against what is left, divided by its running root mean square. So without a signal the widths stay equal shares.
    """
    space, (budget,) = problem.space, problem.budgets
    units = Units.of(space, tied=True, device=problem.device)
    logits, moves, running = units.start, torch.zeros(len(space.alike), device=problem.device), 0.0
    recipe = problem.recipe.model_copy(update={"steps": settings.steps})
    draws = problem.generator("neighbours")
    for step, (images, labels) in enumerate(problem.batches(problem.validation, recipe, "scores")):
        raised = on_budget(space, logits, falling_budget(step, settings.steps, budget, settings.hold))
        low = temperature(step, settings)
        chosen = gates(raised, low)
        state = law.sample(step, partial(around, space, units, raised, settings.spread, draws, chosen))
        loss, towards_loss, towards_cost = gradients(problem, state, chosen, images, labels)
        through = slope(raised, settings.tau_high)
        price, direction = at_equal_cost(
            units.of_widths(through * towards_loss), units.of_widths(through * towards_cost)
        )
        square = float(direction.square().mean())
        running = SMOOTHING * running + (1 - SMOOTHING) * square if step else square
        moves = moves - settings.lr * direction / max(running, 1e-30) ** 0.5
        logits = units.start + moves[units.group]
        problem.trace.append(
            {
                "step": step,
                "loss": loss,
                "complexity": space.complexity((raised > 0).float()),
                "multiplier": price,
                "undecided": undecided(raised, settings.tau_high),
            }
        )
        problem.progress((step + 1) / settings.steps)
    raised = on_budget(space, logits, budget)
    return Traded(
        moves,
        state,
        accuracy_seen(problem, state, gates(raised, low)),
        accuracy_seen(problem, state, (raised > 0).to(raised)),
    )


def at_equal_cost(by_loss: Tensor, by_cost: Tensor) -> tuple[float, Tensor]:
    """Return the price of cost, and the part of the loss's gradient that does not change the cost to first order.

    The price is the multiplier of the constraint: what of the loss a relative change of the cost is worth.
    """
    price = -(by_loss @ by_cost) / (by_cost @ by_cost)
    return float(price), by_loss + price * by_cost


def on_budget(space: SearchSpace, logits: Tensor, budget: float) -> Tensor:
    """Return the logits [n] shifted by one number, so that as many are above zero as the budget pays for.

    The best of every group is above zero in any case, even where the budget does not pay for that.
    """
    low, high = -float(logits.max()), 1.0 - float(logits.min())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = space.complexity((filled(space, logits + middle) > 0).float()) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return filled(space, logits + low)
