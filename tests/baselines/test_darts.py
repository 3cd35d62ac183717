"""The gradients of the relaxed search, against automatic differentiation of the whole bilevel step."""

import math
from typing import Any

import pytest
import torch
from given_scores import given_scores
from problems import CLASSES, RECIPE, Normed, TwoConvolutions, problem, task
from torch import Tensor
from torch.nn import functional as F

from baselines.darts import Darts, _Moves, _Price, _Supernet, discrete
from benchmark.dap.cost_weight import DualAscent
from benchmark.dap.units import ladder
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


@pytest.mark.parametrize("steps", [4, 40])
@pytest.mark.parametrize(("given", "way"), [({}, 6.0), ({"travel": 2.5}, 2.5), ({"architecture_lr": 0.03}, None)])
def test_logits_travel_as_far_in_a_short_search(
    steps: int, given: dict[str, float], way: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Supernet, "gradient_of_logits", lambda *_: (1.0, torch.ones(5)))
    made = problem("channel", (0.6,), build=TwoConvolutions)
    end = given_scores(Darts(Darts.Parameters(steps=steps, **given)), made)
    torch.testing.assert_close(end, torch.full((5,), -(way or 0.03 * steps)), rtol=0.02, atol=0.02)


def test_on_the_ladder_a_group_moves_together() -> None:
    made = problem("channel", (0.6,), build=TwoConvolutions)
    end = given_scores(Darts(Darts.Parameters(ladder=True)), made)
    shift = end - ladder(made.space)
    for part in made.space.offsets.values():
        torch.testing.assert_close(shift[part], shift[part][:1].expand(len(shift[part])))
    # Each group by a way of its own.
    first, second = (float(shift[part][0]) for part in made.space.offsets.values())
    assert abs(first) > 0.1 and abs(second) > 0.1 and abs(first - second) > 1e-3


def test_a_group_s_gradient_is_the_derivative_by_its_shift() -> None:
    net, _ = supernet()
    moves = _Moves(net.problem, tied=True, all_on=False)

    def loss(by: Tensor) -> Tensor:
        return by_hand(net.weights, moves.logits().double() + by[moves.place], examples(0), 1.0).detach()

    logits = moves.logits().double().requires_grad_()
    found = moves.summed(net.gradient_of_logits(net.weights, logits, examples(0))[1])
    steps = 1e-5 * torch.eye(2, dtype=torch.float64)
    expected = torch.stack([(loss(step) - loss(-step)) / 2e-5 for step in steps])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_the_price_adds_the_logarithm_of_the_cost_by_hand() -> None:
    made = problem("channel", (0.6,), build=TwoConvolutions)
    moves = _Moves(made, tied=False, all_on=True)
    logits = torch.tensor([0.3, -0.8, 1.2, 0.0, 0.4], dtype=torch.float64, requires_grad=True)
    by_loss = torch.tensor([1.0, -2.0, 0.0, 2.0, 4.0], dtype=torch.float64)
    law = DualAscent(0.5, 2.0)
    found = _Price(made, 0.5, law).added(moves, logits, by_loss, budget=0.2, share=0.5)

    # Parameters: 9 + 1 of each first channel, 9 per pair, 3 of each second one, and 3 biases of the head.
    def cost(at: Tensor) -> Tensor:
        first, second = (part.sum() for part in torch.sigmoid(at / 0.5).split([2, 3]))
        return (10 * first + 9 * first * second + 3 * second + 3).log()

    point = logits.detach().clone().requires_grad_()
    (by_cost,) = torch.autograd.grad(cost(point), point)
    # One of two and two of three channels are on: 10 + 18 + 6 + 3 of 86 parameters.
    excess = math.log(37 / 86 / 0.2)
    assert discrete(made, logits.detach()) == 37 / 86
    assert law.multiplier == pytest.approx(0.5 * excess)
    expected = by_loss / 5**0.5 + 2.5 * excess * by_cost / by_cost.square().mean().sqrt()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("tied", [False, True])
def test_without_excess_the_price_is_nothing(tied: bool) -> None:
    made = problem("channel", (0.6,), build=TwoConvolutions)
    moves = _Moves(made, tied, all_on=True)
    by_loss = torch.arange(1.0, len(moves.shift) + 1)
    found = _Price(made, 1.0, DualAscent(0.5, 2.0)).added(moves, moves.logits().requires_grad_(), by_loss, 1.0, 1.0)
    torch.testing.assert_close(found, by_loss / (2.5 if tied else 11.0) ** 0.5)


@pytest.mark.parametrize("tied", [False, True])
def test_with_the_cost_every_budget_is_passed_on_the_way(tied: bool) -> None:
    made = problem("channel", (0.5, 0.2), recipe=RECIPE.model_copy(update={"steps": 60}))
    found = Darts(Darts.Parameters(cost=True, ladder=tied)).search(made)
    complexities = [point["complexity"] for point in made.trace]
    assert complexities[0] > 0.9 and min(complexities) <= 0.2
    at = [int(sub.origin.removeprefix("passed at step ").split()[0]) for sub in found]
    # At that step and at none before the units that are on fit the budget.
    for sub, step in zip(found, at, strict=True):
        assert complexities[step] <= sub.budget < min(complexities[:step])
    assert at[0] < at[1]
    # Each has the weights of its own time.
    one, other = (sub.state for sub in found)
    assert one is not None and other is not None
    assert not torch.equal(one["head.bias"], other["head.bias"])


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
