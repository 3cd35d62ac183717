"""The gradients of the relaxed search, against automatic differentiation of the whole bilevel step."""

import math
from typing import Any

import pytest
import torch
from problems import CLASSES, RECIPE, Normed, TwoConvolutions, problem, task
from torch import Tensor
from torch.nn import functional as F

from baselines.darts import Darts, _Supernet
from benchmark.pruning.problem import Problem

Batch = tuple[Tensor, Tensor]


def double(budgets: tuple[float, ...] = (0.6,)) -> Problem:
    made = problem("channel", budgets, build=TwoConvolutions)
    made.network.double()
    return made


def examples(seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 1, 8, 8, generator=draw, dtype=torch.float64)
    return images, torch.arange(6) % CLASSES


def by_hand(weights: dict[str, Tensor], logits: Tensor, batch: Batch, tau: float) -> Tensor:
    """The loss with the channels themselves multiplied by their gates, not the weights that read them."""
    first, second = torch.sigmoid(logits / tau).split([2, 3])
    images, labels = batch
    maps = torch.tanh(F.conv2d(images, weights["first.weight"], weights["first.bias"], padding=1))
    maps = torch.tanh(F.conv2d(maps * first.view(1, -1, 1, 1), weights["second.weight"], padding=1))
    pooled = (maps * second.view(1, -1, 1, 1)).mean((2, 3))
    return F.cross_entropy(pooled @ weights["head.weight"].T + weights["head.bias"], labels)


def supernet(tau: float = 1.0) -> tuple[_Supernet, Tensor]:
    net = _Supernet(double(), tau)
    logits = torch.tensor([0.3, -0.8, 1.2, 0.0, -0.4], dtype=torch.float64, requires_grad=True)
    return net, logits


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_first_order_gradient_by_hand(tau: float) -> None:
    net, logits = supernet(tau)
    loss, gradient = net.gradient_of_logits(net.weights, logits, examples(0))
    expected = by_hand(net.weights, logits, examples(0), tau)
    assert loss == pytest.approx(float(expected.detach()))
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0])
    assert float(gradient.abs().min()) > 1e-6


@pytest.mark.parametrize("xi", [0.025, 0.5])
def test_second_order_gradient_against_double_backward(xi: float) -> None:
    net, logits = supernet()
    seen, held_out = examples(0), examples(1)
    loss, found = net.second_order(logits, seen, held_out, xi)
    inner = by_hand(net.weights, logits, seen, 1.0)
    gradients = torch.autograd.grad(inner, list(net.weights.values()), create_graph=True)
    ahead = {name: w - xi * g for (name, w), g in zip(net.weights.items(), gradients, strict=True)}
    outer = by_hand(ahead, logits, held_out, 1.0)
    (exact,) = torch.autograd.grad(outer, logits)
    assert loss == pytest.approx(float(outer.detach()))
    # The finite difference is the only approximation; without its term the gradient is visibly another one.
    frozen = {name: w.detach() for name, w in ahead.items()}
    (direct,) = torch.autograd.grad(by_hand(frozen, logits, held_out, 1.0), logits)
    correction = exact - direct
    assert float((found - exact).norm()) < 1e-3 * float(correction.norm())
    assert float(correction.norm()) > 1e-3 * float(exact.norm())


def test_looking_does_not_touch_weights_or_statistics() -> None:
    made = problem("channel", build=Normed)
    net = _Supernet(made, 1.0)
    before = {name: tensor.detach().clone() for name, tensor in {**net.weights, **net.buffers}.items()}
    logits = torch.zeros(4, requires_grad=True)
    part = task(6, 0)
    batch = part.normalise(part.images), part.labels
    net.gradient_of_logits(net.weights, logits, batch)
    net.second_order(logits, batch, batch, 0.1)
    assert all(torch.equal({**net.weights, **net.buffers}[name], tensor) for name, tensor in before.items())


def test_running_statistics_follow_the_training_batches_at_the_recipes_pace() -> None:
    recipe = RECIPE.model_copy(update={"steps": 1, "norm_momentum": 0.7, "batch": 30, "shift": 0})
    made = problem("channel", (0.5,), build=Normed, recipe=recipe)
    (found,) = Darts().search(made)
    # One step sees all of the training part, under the initial weights.
    maps = F.conv2d(made.train.normalise(made.train.images), made.initial()["conv.weight"], padding=1)
    assert found.state is not None
    torch.testing.assert_close(found.state["norm.running_mean"], 0.7 * maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.state["norm.running_var"], 0.3 + 0.7 * maps.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


def settings(order: int) -> dict[str, Any]:
    return {"order": order, "steps": 3, "lr": 0.5, "architecture_lr": 0.1}


@pytest.mark.parametrize("order", [1, 2])
def test_a_whole_search_by_hand(order: int) -> None:
    """Adam on the logits, then SGD on the weights, for three steps; channels kept by the final logits."""
    made = double()
    made.train, made.validation = (DoubleTask(part) for part in (made.train, made.validation))  # type: ignore[assignment]
    (found,) = Darts(Darts.Parameters(**settings(order), clip=0.1)).search(made)

    logits = 1e-3 * torch.randn(5, generator=made.generator("logits"))
    logits = logits.double()
    weights = {name: made.initial()[name] for name, _ in made.network.named_parameters()}
    velocity = {name: torch.zeros_like(w) for name, w in weights.items()}
    mean, square = torch.zeros_like(logits), torch.zeros_like(logits)
    recipe = RECIPE.model_copy(update={"steps": 3})
    training = list(made.batches(made.train, recipe, "weights"))
    validation = list(made.batches(made.validation, recipe, "logits"))
    for step in range(3):
        lr = 0.001 + 0.5 * (0.5 - 0.001) * (1 + math.cos(math.pi * step / 3))
        leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
        arch = logits.clone().requires_grad_()
        used = leaves
        if order == 2:
            inner = torch.autograd.grad(
                by_hand(leaves, arch, training[step], 1.0), list(leaves.values()), create_graph=True
            )
            used = {name: w - lr * g for (name, w), g in zip(leaves.items(), inner, strict=True)}
        (gradient,) = torch.autograd.grad(by_hand(used, arch, validation[step], 1.0), arch)
        gradient = gradient + 1e-3 * logits
        mean, square = 0.5 * mean + 0.5 * gradient, 0.999 * square + 0.001 * gradient.square()
        corrected = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
        logits = logits - 0.1 * mean / (1 - 0.5 ** (step + 1)) / corrected
        leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
        gradients = torch.autograd.grad(by_hand(leaves, logits, training[step], 1.0), list(leaves.values()))
        norm = float(torch.cat([g.flatten() for g in gradients]).norm())
        for (name, w), g in zip(weights.items(), gradients, strict=True):
            velocity[name] = 0.9 * velocity[name] + g * min(1, 0.1 / norm) + 3e-4 * w
            weights[name] = w - lr * velocity[name]
    assert found.state is not None
    # The weights are left as they were used, behind their gates: what a kept unit feeds does not jump.
    for name, w in made.space.gate(weights, torch.sigmoid(logits)).items():
        torch.testing.assert_close(found.state[name], w, rtol=1e-3, atol=1e-6)
    assert torch.equal(found.mask, made.space.project(logits, 0.6))


class DoubleTask:
    """A task that shows its images in double precision."""

    def __init__(self, part: Any) -> None:
        self.part = part
        self.images, self.labels = part.images, part.labels

    def __len__(self) -> int:
        return len(self.part)

    def pixels(self, index: Tensor) -> Tensor:
        pixels: Tensor = self.part.pixels(index)
        return pixels

    def normalise(self, images: Tensor) -> Tensor:
        shown: Tensor = self.part.normalise(images).double()
        return shown
