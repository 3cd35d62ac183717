"""The search of DAP: gradient steps on the units' logits against a law of weights, along a falling budget."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.dap.dual import DualAscent, falling_budget
from benchmark.dap.laws import State, WeightLaw
from benchmark.dap.relaxation import gates, slope, undecided
from benchmark.pruner import Problem, SubNetwork
from benchmark.space import SearchSpace
from benchmark.training import loss_of

SMOOTHING = 0.9  # of the running size of the loss gradient


@dataclass(frozen=True)
class Settings:
    """What the search needs to know beside the law: see `baselines.dap.DAP.Parameters`."""

    steps: int
    tau_low: float
    tau_high: float
    anneal_from: float | None
    lr: float
    dual_rate: float
    damping: float
    hold: float
    exchangeable: bool


def search(problem: Problem, law: WeightLaw, settings: Settings) -> list[SubNetwork]:
    """Return one sub-network per budget, from one search whose falling budget passes them all.

    Each step: the law gives weights; the loss on held-out source data and the logarithm of the complexity are
    differentiated at the forward gates; the logits move against both, through the backward temperature's slope. The
    two gradients are each divided by their own root mean square, so that one step size serves every network and
    granularity.
    """
    space = problem.space
    logits = ladder(space) if settings.exchangeable else torch.ones(space.n)
    logits = logits.to(problem.device)
    members = _membership(space).to(problem.device)
    dual = DualAscent(settings.dual_rate, settings.damping)
    recipe = problem.recipe.model_copy(update={"steps": settings.steps})
    held_out = problem.batches(problem.validation, recipe, "scores")
    running = 0.0
    passed: dict[float, tuple[Tensor, State | None, str]] = {}
    for step, (images, labels) in enumerate(held_out):
        low = temperature(step, settings)
        chosen = gates(filled(space, logits), low)
        state = law.sample(step, chosen)
        chosen.requires_grad_()
        # On a copy: held-out batches must not enter the running statistics that are inherited.
        loss = loss_of(problem.gated_logits(_copied(state), chosen, images), labels)
        (towards_loss,) = torch.autograd.grad(loss, chosen)
        (towards_cost,) = torch.autograd.grad(space.cost(chosen).log(), chosen)
        problem.charge(problem.dense_macs, len(labels))
        complexity = space.complexity((filled(space, logits) > 0).float())
        for budget in problem.budgets:
            if complexity <= budget and budget not in passed:
                at = f"passed at step {step} of {settings.steps} of one search for all budgets"
                passed[budget] = (logits.clone(), _copied(state) if law.own_weights else None, at)
        weight = dual.weight(complexity, falling_budget(step, settings.steps, min(problem.budgets), settings.hold))
        through = slope(logits, settings.tau_high)
        if settings.exchangeable:
            loss_gradient = _pooled(_averaged(towards_loss, members), through, members)
            cost_gradient = _pooled(towards_cost, through, members)
        else:
            loss_gradient, cost_gradient = through * towards_loss, through * towards_cost
        size = float(loss_gradient.square().mean())
        running = size if step == 0 else SMOOTHING * running + (1 - SMOOTHING) * size
        logits = logits - settings.lr * (
            loss_gradient / max(running, 1e-30) ** 0.5
            + weight * cost_gradient / max(float(cost_gradient.square().mean()), 1e-30) ** 0.5
        )
        problem.trace.append(
            {
                "step": step,
                "loss": float(loss.detach()),
                "complexity": complexity,
                "multiplier": dual.multiplier,
                "undecided": undecided(logits, settings.tau_high),
            }
        )
        problem.progress((step + 1) / settings.steps)
    last = (logits, _copied(state) if law.own_weights else None, "cut from the end of one search for all budgets")
    found = []
    for budget in problem.budgets:
        reached, weights, origin = passed.get(budget, last)
        found.append(SubNetwork(budget, space.project(problem.ranked(reached.cpu()), budget), weights, origin))
    return found


def temperature(step: int, settings: Settings) -> float:
    """Return the forward temperature of a step: `tau_low`, reached linearly from `anneal_from` if that is set."""
    if settings.anneal_from is None:
        return settings.tau_low
    left = 1 - step / max(1, settings.steps - 1)
    return settings.tau_low + left * (settings.anneal_from - settings.tau_low)


def ladder(space: SearchSpace) -> Tensor:
    """Return logits that make every group's width a number: unit i of n starts at log(n / (i + 1/2)).

    Under a law of fresh weights the units of a group are exchangeable, so only how many are kept can matter. All
    logits of a group then move together, by u: about n exp(u) of them stay above zero, u is the logarithm of the kept
    share, and equal shifts of all groups are uniform width scaling.
    """
    logits = torch.empty(space.n)
    for group in space.groups:
        order = torch.arange(group.size) + 0.5
        logits[space.offsets[group.name]] = torch.log(group.size / order)
    return logits


def filled(space: SearchSpace, logits: Tensor) -> Tensor:
    """Return the logits with the best unit of every group raised above zero: a search never empties a group."""
    result = logits.clone()
    for group in space.groups:
        part = result[space.offsets[group.name]]
        if not bool((part > 0).any()):
            part[part.argmax()] = 1e-3
    return result


def _membership(space: SearchSpace) -> Tensor:
    return torch.cat([torch.full((group.size,), index) for index, group in enumerate(space.groups)])


def _averaged(gradient: Tensor, members: Tensor) -> Tensor:
    groups = int(members.max()) + 1
    total = torch.zeros(groups, device=gradient.device).index_add_(0, members, gradient)
    return (total / torch.bincount(members, minlength=groups))[members]


def _pooled(gradient: Tensor, through: Tensor, members: Tensor) -> Tensor:
    """The derivative with respect to a shift of the whole group, at each of its units."""
    groups = int(members.max()) + 1
    return torch.zeros(groups, device=gradient.device).index_add_(0, members, gradient * through)[members]


def _copied(state: State) -> State:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
