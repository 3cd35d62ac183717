"""Scores and weights move by hand-computed steps, and what a search hands over holds its gates."""

import pytest
import torch
from problems import RECIPE, Normed, TwoConvolutions, pretrained_weights, problem, space_of
from torch import Tensor
from torch.nn import functional as F

from benchmark import seeds
from benchmark.pruning.gated_training import Price, Relaxation, Relaxed, best_of_groups, cut, training
from benchmark.pruning.problem import Problem
from benchmark.pruning.shared_weights import SharedWeights
from benchmark.training.loop import batches


class Plain(Relaxation):
    """Gates sigmoid(scores)."""

    def step(self, share: float) -> Relaxed:
        gates = torch.sigmoid(self.scores)
        return Relaxed(gates, gates)

    def final(self) -> Relaxed:
        return self.step(1.0)


def run(made: Problem, scores: Tensor, travel: float, price: Price | None = None) -> tuple[SharedWeights, Plain]:
    net = SharedWeights(made, made.initial(), made.recipe.steps)
    units = Plain(made.space, scores.clone())
    assert list(training(made, net, units, travel, price)) == list(range(1, made.recipe.steps + 1))
    return net, units


def test_the_best_of_every_group_by_hand() -> None:
    space = space_of(TwoConvolutions, "channel")
    assert best_of_groups(space, torch.tensor([0.1, 0.3, -2.0, -1.0, -1.5])).tolist() == [1, 3]
    assert best_of_groups(space, torch.zeros(5)).tolist() == [0, 2]


def test_with_open_gates_it_is_pretraining() -> None:
    made = problem("channel", build=Normed)
    net, _ = run(made, torch.full((made.space.n,), 50.0), travel=0.0)
    expected, flops = pretrained_weights(0, Normed)
    for name, tensor in net.copied().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
    assert made.flops == flops


@pytest.mark.parametrize("weight", [0.0, 1e-4, 50.0])
def test_the_first_step_by_hand(weight: float) -> None:
    """Adam's first step has one length in the direction of the gradient: of the loss and price times log C."""
    recipe = RECIPE.model_copy(update={"steps": 1, "batch": 30, "shift": 0})
    made = problem("channel", build=TwoConvolutions, recipe=recipe)
    start = torch.tensor([0.3, -0.8, 1.2, 0.0, -0.4])
    space = made.space
    complexity = float(space.cost(torch.sigmoid(start)) / space.total)

    def price(seen: float, step: int, steps: int) -> float:
        assert (step, steps) == (0, 1) and seen == pytest.approx(complexity)
        return weight

    state = made.initial()
    ((images, labels),) = batches(made.train, recipe, seeds.generator(made.seed, "source-order"))
    scores = start.clone().requires_grad_()
    first, second = torch.sigmoid(scores).split([2, 3])
    maps = torch.tanh(F.conv2d(images, state["first.weight"], state["first.bias"], padding=1))
    maps = torch.tanh(F.conv2d(maps * first.view(1, -1, 1, 1), state["second.weight"], padding=1))
    pooled = (maps * second.view(1, -1, 1, 1)).mean((2, 3))
    loss = F.cross_entropy(pooled @ state["head.weight"].T + state["head.bias"], labels)
    # Parameters: 9 + 1 per first channel, 9 per pair, 3 per second channel, and the head's biases.
    parameters = 10 * first.sum() + 9 * first.sum() * second.sum() + 3 * second.sum() + 3
    (gradient,) = torch.autograd.grad(loss + weight * parameters.log(), scores)
    _, units = run(made, start, 0.25, price)
    torch.testing.assert_close(units.scores.detach(), start - 0.25 * gradient.sign(), rtol=1e-3, atol=1e-3)
    # The price alone pulls all of them down.
    assert bool((gradient > 0).all()) == (weight == 50.0)


def test_scores_go_as_far_in_a_short_training_as_in_a_long_one() -> None:
    for steps in (4, 40):
        made = problem("channel", (0.1,), build=TwoConvolutions, recipe=RECIPE.model_copy(update={"steps": steps}))
        _, units = run(made, torch.zeros(5), 0.5, lambda _complexity, _step, _steps: 1e4)
        torch.testing.assert_close(units.scores.detach(), torch.full((5,), -0.5), rtol=0, atol=0.01)


def test_what_is_cut_holds_its_gates_and_its_statistics() -> None:
    recipe = RECIPE.model_copy(update={"steps": 1, "batch": 30, "shift": 0})
    made = problem("channel", (0.5,), build=Normed, recipe=recipe)
    scores = torch.tensor([0.5, -0.5, 2.0, 0.1])
    net, units = run(made, scores, 0.0)
    sub = cut(made, net, units, units.scores, 0.5, 1)
    assert sub.budget == 0.5 and torch.equal(sub.mask, made.space.project(scores, 0.5))
    assert sub.mask.tolist() == [False, False, True, False]
    trained = net.copied()
    gates = torch.sigmoid(scores)
    assert sub.state is not None
    torch.testing.assert_close(sub.state["head.weight"], trained["head.weight"] * gates)
    maps = F.conv2d(made.train.normalise(made.train.images), trained["conv.weight"], padding=1)
    torch.testing.assert_close(sub.state["norm.running_mean"], maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    # Per channel 9 of the convolution, 2 of the norm, 3 of the head; the head has 3 biases.
    assert sub.notes == {"relaxed_complexity": pytest.approx((14 * float(gates.sum()) + 3) / 59)}


def test_inverted_keeps_the_lowest() -> None:
    made = problem("channel", (0.3,), build=Normed, inverted=True)
    net, units = run(made, torch.tensor([0.5, -0.5, 2.0, 0.1]), 0.0)
    assert cut(made, net, units, units.scores, 0.3, 1).mask.tolist() == [False, True, False, False]
