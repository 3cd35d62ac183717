"""The preservation of gradient flow, against second derivatives and against what it stands for."""

import torch
from given_scores import given_scores
from problems import CLASSES, TwoConvolutions, problem
from torch import Tensor
from torch.nn import functional as F

from baselines.grasp import GraSP, _Flow, _halves
from benchmark.pruning.problem import Problem

TEMPERATURE = 3.0


def pruner() -> GraSP:
    return GraSP(GraSP.Parameters(samples=4, temperature=TEMPERATURE))


def scored(made: Problem) -> dict[str, Tensor]:
    """The weights that are scored: the initial ones, but with a head of its own draw."""
    state = {name: tensor.double() for name, tensor in made.initial().items()}
    head = torch.empty(CLASSES, 3, dtype=torch.float64)
    torch.nn.init.xavier_normal_(head, generator=made.generator("linear"))
    return state | {"head.weight": head}


def loss(made: Problem, state: dict[str, Tensor], factors: Tensor) -> Tensor:
    """The halves' losses, the channels themselves multiplied by `factors`."""
    first, second = factors.view(-1, 1, 1).split([2, 3])
    total = torch.zeros((), dtype=torch.float64)
    for images, labels in _halves(made, 4):
        maps = first * torch.tanh(F.conv2d(images, state["first.weight"], state["first.bias"], padding=1))
        maps = second * torch.tanh(F.conv2d(maps, state["second.weight"], padding=1))
        logits = F.linear(maps.mean((2, 3)), state["head.weight"], state["head.bias"])
        total = total + F.cross_entropy(logits / TEMPERATURE, labels)
    return total


def test_channels_against_double_backward() -> None:
    made = problem("channel", (0.5,), build=TwoConvolutions)
    found = given_scores(pruner(), made)
    factors = torch.ones(5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(made, scored(made), factors), factors, create_graph=True)
    (expected,) = torch.autograd.grad(gradient @ gradient.detach(), factors)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)
    # Signs are kept: what has the lowest goes first, not what has the smallest.
    assert float(found.min()) < 0 < float(found.max())


def test_weights_against_double_backward() -> None:
    made = problem("weight", (0.5,), build=TwoConvolutions)
    found = given_scores(pruner(), made)
    state = scored(made)
    names = [group.name for group in made.space.groups]
    weights = [state[name].requires_grad_() for name in names]
    whole = loss(made, state, torch.ones(5, dtype=torch.float64))
    gradients = torch.autograd.grad(whole, weights, create_graph=True)
    inner = sum(((g * g.detach()).sum() for g in gradients), torch.zeros((), dtype=torch.float64))
    products = [w.detach() * h for w, h in zip(weights, torch.autograd.grad(inner, weights), strict=True)]
    torch.testing.assert_close(found, made.space.flatten(dict(zip(names, products, strict=True))), rtol=1e-4, atol=1e-9)


def test_what_it_keeps_first_holds_the_gradient_up() -> None:
    """A unit faded by a small share lowers the squared gradient by twice its score times that share."""
    made = problem("channel", (0.5,), build=TwoConvolutions)
    found = given_scores(pruner(), made)
    flow = _Flow(made, list(_halves(made, 4)), TEMPERATURE)
    before = flow.gradient(flow.point).square().sum()
    share = 1e-6
    for unit, score in enumerate(found.tolist()):
        faded = flow.point.clone()
        faded[unit] -= share
        lost = before - flow.gradient(faded).square().sum()
        assert abs(float(lost) / (2 * share) - score) < 1e-4 * float(found.abs().max())


def test_the_halves_share_classes_and_no_image() -> None:
    made = problem("channel")
    (one, first), (other, second) = _halves(made, 4)
    assert sorted(first.tolist()) == sorted(second.tolist()) == sorted([*range(CLASSES)] * 2)
    assert not any(torch.equal(image, that) for image in one for that in other)
    # With a single image a class there is one half.
    assert len(list(_halves(made, 1))) == 1
