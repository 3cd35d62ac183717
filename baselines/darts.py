"""One-temperature relaxed gates, searched bilevel."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from benchmark.config.params import Count, NonNegative, Positive, Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.training.loop import loss_of

Batch = tuple[Tensor, Tensor]


class Darts(Pruner):
    """Sigmoid gates on every unit, trained on validation data while the weights train on training data.

    Forward and backward share one temperature; only at the end are the units with the largest logits kept. First order
    takes the weights as they are; second order differentiates through one step of their training, by a
    finite-difference Hessian product. Liu et al. 2018, DARTS, arXiv 1806.09055 (its optimiser settings).
    """

    name = "darts"
    reference = "Liu et al. 2018, arXiv 1806.09055"
    label = "DARTS"
    color = "#009E73"
    marker = "P"
    trains = True
    examples = ({"order": 2},)

    class Parameters(Section):
        """`order` 1 or 2; `steps` of the search (None: as many as the recipe's); settings of both optimisers."""

        order: Annotated[int, Field(ge=1, le=2)] = 1
        steps: Count | None = None
        tau: Positive = 1.0
        architecture_lr: Positive = 3e-4
        architecture_weight_decay: NonNegative = 1e-3
        lr: Positive = 0.025
        lr_min: NonNegative = 0.001
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
        weight_decay: NonNegative = 3e-4
        clip: Positive = 5.0

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures from one search, each with the supernet's trained weights, the gates folded in."""
        p = self.parameters
        steps = p.steps or problem.recipe.steps
        net = _Supernet(problem, p.tau)
        logits = 1e-3 * torch.randn(problem.space.n, generator=problem.generator("logits"))
        logits = logits.to(problem.device).requires_grad_()
        of_logits = torch.optim.Adam(
            [logits], lr=p.architecture_lr, betas=(0.5, 0.999), weight_decay=p.architecture_weight_decay
        )
        of_weights = torch.optim.SGD(net.weights.values(), lr=p.lr, momentum=p.momentum, weight_decay=p.weight_decay)
        recipe = problem.recipe.model_copy(update={"steps": steps})
        training = problem.batches(problem.train, recipe, "weights")
        validation = problem.batches(problem.validation, recipe, "logits")
        for step, (seen, held_out) in enumerate(zip(training, validation, strict=True)):
            lr = p.lr_min + 0.5 * (p.lr - p.lr_min) * (1 + math.cos(math.pi * step / steps))
            if p.order == 1:
                loss, logits.grad = net.gradient_of_logits(net.weights, logits, held_out)
            else:
                loss, logits.grad = net.second_order(logits, seen, held_out, lr)
            of_logits.step()
            of_weights.param_groups[0]["lr"] = lr
            gradients = net.gradient_of_weights(net.weights, logits, seen, keep_statistics=True)[1]
            for weight, gradient in zip(net.weights.values(), gradients, strict=True):
                weight.grad = gradient
            torch.nn.utils.clip_grad_norm_(net.weights.values(), p.clip)
            of_weights.step()
            problem.trace.append(_point(problem, step, loss, logits.detach() / p.tau))
            problem.progress((step + 1) / steps)
        logits = logits.detach()
        # What is kept goes on as it was trained: its gates become part of the weights.
        weights = {name: weight.detach() for name, weight in net.weights.items()}
        folded = problem.space.gate(weights, torch.sigmoid(logits / p.tau))
        return problem.project(logits.cpu(), {**folded, **net.buffers})


def _point(problem: Problem, step: int, loss: float, logits: Tensor) -> dict[str, float]:
    share = torch.sigmoid(logits)
    return {
        "step": step,
        "loss": loss,
        "complexity": problem.space.complexity((logits > 0).float()),
        "multiplier": 0.0,
        "undecided": float(((share > 0.05) & (share < 0.95)).float().mean()),
    }


class _Supernet:
    """The gated large model as a function of its weights and the gates' logits."""

    def __init__(self, problem: Problem, tau: float) -> None:
        state = problem.initial()
        names = [name for name, _ in problem.network.named_parameters()]
        self.problem = problem
        self.tau = tau
        self.weights = {name: state[name].requires_grad_() for name in names}
        self.buffers = {name: tensor for name, tensor in state.items() if name not in self.weights}

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
