"""One-temperature relaxed gates, searched bilevel."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.dap.cost_weight import DualAscent, falling_budget
from benchmark.dap.units import filled, ladder
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.training.loop import loss_of

Batch = tuple[Tensor, Tensor]


class Darts(Pruner):
    """Sigmoid gates on every unit, trained on validation data while the weights train on training data.

    Forward and backward share one temperature; only at the end are the units with the largest logits kept. First order
    takes the weights as they are; second order differentiates through one step of their training, by a
    finite-difference Hessian product. Liu et al. 2018, DARTS, arXiv 1806.09055 (its optimiser settings, but for the
    logits' step: a suite searches for far fewer steps, so it is given by how far they get in all, which is ours).

    Two parts of the method under study can be added, each alone, to tell what it gives. With `ladder` a group's units
    move together, from its ladder of logits, so that what is searched is a width. With `cost` the search presses the
    complexity below a falling budget, all units being on at first, and sets each budget's architecture aside in
    passing; a gradient is then divided by its root mean square, as prices are calibrated for that.
    """

    name = "darts"
    reference = "Liu et al. 2018, arXiv 1806.09055"
    label = "DARTS"
    color = "#009E73"
    marker = "P"
    trains = True
    examples = ({"order": 2}, {"ladder": True}, {"cost": True}, {"ladder": True, "cost": True})

    class Parameters(Section):
        """`order` 1 or 2; `steps` of the search (None: as many as the recipe's); settings of both optimisers.

        `travel` is the way of a logit whose gradient keeps its sign, in all: the source's 3e-4 times its 19500 steps.
        `architecture_lr`, where given, is the logits' step instead, whatever the search's length. `ladder` and `cost`
        as above, the price by dual ascent with the method under study's default `dual_rate`, `damping` and `hold`.
        """

        order: Annotated[int, Field(ge=1, le=2)] = 1
        steps: Count | None = None
        tau: Positive = 1.0
        travel: Positive = 6.0
        architecture_lr: Positive | None = None
        architecture_weight_decay: NonNegative = 1e-3
        lr: Positive = 0.025
        lr_min: NonNegative = 0.001
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
        weight_decay: NonNegative = 3e-4
        clip: Positive = 5.0
        ladder: bool = False
        cost: bool = False
        dual_rate: NonNegative = 0.2
        damping: NonNegative = 5.0
        hold: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures from one search, each with the supernet's trained weights, the gates folded in."""
        p = self.parameters
        steps = p.steps or problem.recipe.steps
        net = _Supernet(problem, p.tau)
        moves = _Moves(problem, p.ladder, all_on=p.cost)
        price = _Price(problem, p.tau, DualAscent(p.dual_rate, p.damping)) if p.cost else None
        of_logits = torch.optim.Adam(
            [moves.shift],
            lr=p.architecture_lr or p.travel / steps,
            betas=(0.5, 0.999),
            weight_decay=p.architecture_weight_decay,
        )
        of_weights = torch.optim.SGD(net.weights.values(), lr=p.lr, momentum=p.momentum, weight_decay=p.weight_decay)
        recipe = problem.recipe.model_copy(update={"steps": steps})
        training = problem.batches(problem.train, recipe, "weights")
        validation = problem.batches(problem.validation, recipe, "logits")
        passed: dict[float, SubNetwork] = {}
        for step, (seen, held_out) in enumerate(zip(training, validation, strict=True)):
            lr = p.lr_min + 0.5 * (p.lr - p.lr_min) * (1 + math.cos(math.pi * step / steps))
            logits = moves.logits().requires_grad_()
            if p.order == 1:
                loss, gradient = net.gradient_of_logits(net.weights, logits, held_out)
            else:
                loss, gradient = net.second_order(logits, seen, held_out, lr)
            moves.shift.grad = moves.summed(gradient)
            if price is not None:
                allowed = falling_budget(step, steps, min(problem.budgets), p.hold)
                moves.shift.grad = price.added(moves, logits, moves.shift.grad, allowed, (step + 1) / steps)
            of_logits.step()
            logits = moves.logits()
            of_weights.param_groups[0]["lr"] = lr
            gradients = net.gradient_of_weights(net.weights, logits, seen, keep_statistics=True)[1]
            for weight, gradient in zip(net.weights.values(), gradients, strict=True):
                weight.grad = gradient
            torch.nn.utils.clip_grad_norm_(net.weights.values(), p.clip)
            of_weights.step()
            if price is not None:
                fits = [b for b in problem.budgets if b not in passed and discrete(problem, logits) <= b]
                for budget in fits:
                    at = f"passed at step {step} of {steps}"
                    passed[budget] = _kept(problem, logits, net.folded(logits), budget, at)
            problem.trace.append(_point(problem, step, loss, logits, p.tau, price.law.multiplier if price else 0.0))
            problem.progress((step + 1) / steps)
        state = net.folded(logits)
        if price is None:
            return problem.project(logits.cpu(), state)
        return [passed.get(b) or _kept(problem, logits, state, b, "cut from the end") for b in problem.budgets]


def discrete(problem: Problem, logits: Tensor) -> float:
    """Return the complexity of the units whose logits are above zero, at least one of each group."""
    return problem.space.complexity((filled(problem.space, logits) > 0).float())


def _kept(problem: Problem, logits: Tensor, state: dict[str, Tensor], budget: float, origin: str) -> SubNetwork:
    mask = problem.space.project(problem.apply_inversion(logits.cpu()), budget)
    return SubNetwork(budget, mask, state, origin)


def _point(problem: Problem, step: int, loss: float, logits: Tensor, tau: float, price: float) -> dict[str, float]:
    share = torch.sigmoid(logits / tau)
    return {
        "step": step,
        "loss": loss,
        "complexity": problem.space.complexity((logits > 0).float()),
        "multiplier": price,
        "undecided": float(((share > 0.05) & (share < 0.95)).float().mean()),
    }


class _Moves:
    """The logits [n]: where they begin, and the shift of each, or with a ladder that of each group."""

    def __init__(self, problem: Problem, tied: bool, all_on: bool) -> None:
        space, device = problem.space, problem.device
        place = torch.arange(space.n)
        if tied:
            place = torch.repeat_interleave(torch.arange(len(space.groups)), torch.tensor(space.sizes))
        self.place = place.to(device)
        self.start = ladder(space).to(device) if tied else torch.full((space.n,), float(all_on), device=device)
        drawn = 1e-3 * torch.randn(int(place[-1]) + 1, generator=problem.generator("logits"))
        self.shift = drawn.to(device).requires_grad_()

    def logits(self) -> Tensor:
        """Return the present logits, detached."""
        return self.start + self.shift.detach()[self.place]

    def summed(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the shifts from that of the logits [n]."""
        return gradient.new_zeros(self.shift.shape).index_add_(0, self.place, gradient)


class _Price:
    """The cost's gradient beside the loss's, as the method under study weighs them."""

    def __init__(self, problem: Problem, tau: float, law: DualAscent) -> None:
        self.problem, self.tau, self.law = problem, tau, law

    def added(self, moves: _Moves, logits: Tensor, by_loss: Tensor, budget: float, share: float) -> Tensor:
        """Return the gradient of the shifts with the cost's, both of root mean square 1 before the price."""
        weight = self.law.weight(discrete(self.problem, logits.detach()), budget, share)
        cost = self.problem.space.cost(torch.sigmoid(logits / self.tau)).log()
        by_cost = moves.summed(torch.autograd.grad(cost, logits)[0])
        return _of_unit_size(by_loss) + weight * _of_unit_size(by_cost)


def _of_unit_size(gradient: Tensor) -> Tensor:
    return gradient / gradient.square().mean().sqrt().clamp(min=1e-15)


class _Supernet:
    """The gated large model as a function of its weights and the gates' logits."""

    def __init__(self, problem: Problem, tau: float) -> None:
        state = problem.initial()
        names = [name for name, _ in problem.network.named_parameters()]
        self.problem = problem
        self.tau = tau
        self.weights = {name: state[name].requires_grad_() for name in names}
        self.buffers = {name: tensor for name, tensor in state.items() if name not in self.weights}

    def folded(self, logits: Tensor) -> dict[str, Tensor]:
        """Return a copy of the state whose gates have become part of the weights: what is kept goes on as trained."""
        state = {name: weight.detach().clone() for name, weight in self.weights.items()}
        buffers = {name: buffer.clone() for name, buffer in self.buffers.items()}
        return {**self.problem.space.gate(state, torch.sigmoid(logits / self.tau)), **buffers}

    def _loss(self, weights: dict[str, Tensor], logits: Tensor, batch: Batch, keep_statistics: bool) -> Tensor:
        images, labels = batch
        buffers = self.buffers if keep_statistics else {name: b.clone() for name, b in self.buffers.items()}
        self.problem.charge(self.problem.dense_macs, len(labels))
        gates = torch.sigmoid(logits / self.tau)
        return loss_of(self.problem.gated_logits({**weights, **buffers}, gates, images), labels)

    def gradient_of_logits(self, weights: dict[str, Tensor], logits: Tensor, batch: Batch) -> tuple[float, Tensor]:
        loss = self._loss(weights, logits, batch, keep_statistics=False)
        return float(loss.detach()), torch.autograd.grad(loss, logits)[0]

    def gradient_of_weights(
        self, weights: dict[str, Tensor], logits: Tensor, batch: Batch, keep_statistics: bool = False
    ) -> tuple[float, tuple[Tensor, ...]]:
        loss = self._loss(weights, logits.detach(), batch, keep_statistics)
        return float(loss.detach()), torch.autograd.grad(loss, list(weights.values()))

    def second_order(self, logits: Tensor, seen: Batch, held_out: Batch, xi: float) -> tuple[float, Tensor]:
        """The logits' gradient of L_val(w - xi grad L_train(w)), equations 6 to 8 of the paper."""
        step = self.gradient_of_weights(self.weights, logits, seen)[1]
        ahead = self._moved([-xi * gradient for gradient in step])
        loss = self._loss(ahead, logits, held_out, keep_statistics=False)
        direct, *back = torch.autograd.grad(loss, [logits, *ahead.values()])
        norm = torch.sqrt(torch.stack([gradient.square().sum() for gradient in back]).sum())
        epsilon = 0.01 / float(norm.clamp(min=1e-12))
        plus, minus = (
            self.gradient_of_logits(self._moved([sign * epsilon * g for g in back]), logits, seen)[1]
            for sign in (1, -1)
        )
        return float(loss.detach()), direct - xi * (plus - minus) / (2 * epsilon)

    def _moved(self, by: list[Tensor]) -> dict[str, Tensor]:
        return {
            name: (weight.detach() + change).requires_grad_()
            for (name, weight), change in zip(self.weights.items(), by, strict=True)
        }
