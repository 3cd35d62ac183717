"""Connection sensitivity by hand."""

import torch
from given_scores import given_scores
from problems import RECIPE, Normed, TwoConvolutions, problem
from torch import Tensor
from torch.nn import functional as F

from baselines.snip import SNIP
from benchmark.pruning.problem import Problem

Batch = tuple[Tensor, Tensor]


def seen(made: Problem) -> Batch:
    """The one batch that the method looks at."""
    recipe = RECIPE.model_copy(update={"steps": 1})
    batch: Batch = next(iter(made.batches(made.train, recipe, "saliency")))
    return batch


def test_a_weight_s_score_is_itself_times_its_gradient() -> None:
    made = problem("weight", (0.5,), build=TwoConvolutions)
    found = given_scores(SNIP(), made)
    state = {name: tensor.requires_grad_() for name, tensor in made.initial().items()}
    images, labels = seen(made)
    maps = torch.tanh(F.conv2d(images, state["first.weight"], state["first.bias"], padding=1))
    maps = torch.tanh(F.conv2d(maps, state["second.weight"], padding=1))
    F.cross_entropy(F.linear(maps.mean((2, 3)), state["head.weight"], state["head.bias"]), labels).backward()
    products = {name: (w * w.grad).detach().abs().double() for name, w in state.items() if w.grad is not None}
    expected = made.space.flatten(products)
    torch.testing.assert_close(found, expected / expected.sum(), rtol=1e-4, atol=1e-7)
    assert float(found.sum()) == torch.tensor(1.0) and float(found.min()) > 0


def test_a_channel_s_score_is_the_change_by_a_factor_on_its_map() -> None:
    made = problem("channel", (0.5,), build=TwoConvolutions)
    found = given_scores(SNIP(), made)
    state = {name: tensor.double() for name, tensor in made.initial().items()}
    images, labels = seen(made)

    def loss(factors: Tensor) -> Tensor:
        first, second = factors.view(-1, 1, 1).split([2, 3])
        maps = first * torch.tanh(F.conv2d(images.double(), state["first.weight"], state["first.bias"], padding=1))
        maps = second * torch.tanh(F.conv2d(maps, state["second.weight"], padding=1))
        return F.cross_entropy(F.linear(maps.mean((2, 3)), state["head.weight"], state["head.bias"]), labels)

    one, step = torch.ones(5, dtype=torch.float64), 1e-5 * torch.eye(5, dtype=torch.float64)
    expected = torch.stack([(loss(one + by) - loss(one - by)).abs() for by in step])
    torch.testing.assert_close(found, expected / expected.sum(), rtol=1e-3, atol=1e-6)


def test_batch_norm_is_in_inference_mode() -> None:
    # At first its statistics are 0 and 1: it divides by sqrt(1 + 1e-5), and the batch's own do not enter.
    made = problem("channel", (0.5,), build=Normed)
    found = given_scores(SNIP(), made)
    state = made.initial()
    images, labels = seen(made)
    gates = torch.ones(4, requires_grad=True)
    maps = F.conv2d(images, state["conv.weight"], padding=1) / (1 + 1e-5) ** 0.5
    logits = F.linear(gates * maps.relu().mean((2, 3)), state["head.weight"], state["head.bias"])
    expected = torch.autograd.grad(F.cross_entropy(logits, labels), gates)[0].abs().double()
    torch.testing.assert_close(found, expected / expected.sum(), rtol=1e-4, atol=1e-6)


def test_more_batches_of_all_images_say_the_same_as_one() -> None:
    recipe = RECIPE.model_copy(update={"batch": 30, "shift": 0})
    one, three = (
        given_scores(SNIP(SNIP.Parameters(batches=count)), problem("channel", (0.5,), recipe=recipe))
        for count in (1, 3)
    )
    torch.testing.assert_close(one, three, rtol=1e-3, atol=1e-7)
    small = given_scores(SNIP(), problem("channel", (0.5,)))
    assert float((one - small).abs().max()) > 1e-3 * float(one.max())
