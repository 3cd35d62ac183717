"""How a check runs networks of different widths: on the same images, with the same random numbers."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.space.surgery.trial_run import (
    HIGH,
    IMAGES,
    LOW,
    MIDDLE,
    Setting,
    SteadyDraws,
    images_like,
    training_settings,
)

X = torch.arange(1.0, 9.0).view(2, 4, 1, 1)


def drawn(draw: Callable[[], Tensor], place: float) -> Tensor:
    with SteadyDraws(place) as draws:
        found = draw()
    assert draws.drawn and not draws.unsteady
    return found


@pytest.mark.parametrize(
    ("draw", "low", "high"),
    [
        (lambda: F.dropout(X, 0.75), X * 0, X * 4),
        (lambda: F.dropout2d(X, 0.5), X * 0, X * 2),
        (lambda: torch.rand(2), [0.001, 0.001], [0.999, 0.999]),
        (lambda: torch.rand_like(X[:, 0, 0, 0]), [0.001, 0.001], [0.999, 0.999]),
        (lambda: torch.empty(1).uniform_(1, 3), [1.002], [2.998]),
        (lambda: torch.empty(3).bernoulli_(0.01), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
        (lambda: torch.randn(2), [-2.0, -2.0], [2.0, 2.0]),
        (lambda: torch.empty(1).normal_(1, 3), [-5.0], [7.0]),
        (lambda: torch.randint(2, 9, (2,)), [2, 2], [8, 8]),
        (lambda: torch.randint(9, (1,)), [0], [8]),
        (lambda: torch.randperm(4), [0, 1, 2, 3], [3, 2, 1, 0]),
    ],
)
def test_random_operators_give_one_number_throughout(
    draw: Callable[[], Tensor], low: Tensor | list[float], high: Tensor | list[float]
) -> None:
    for place, expected in ((LOW, low), (HIGH, high)):
        torch.testing.assert_close(drawn(draw, place), torch.as_tensor(expected))


@pytest.mark.parametrize(
    ("draw", "middle"),
    [
        (lambda: F.dropout(X, 0.75), X * 4),
        (lambda: torch.rand(2), [0.5, 0.5]),
        (lambda: torch.randn(2), [0.0, 0.0]),
        (lambda: torch.randint(5, (2,)), [2, 2]),
        (lambda: torch.randperm(4), [2, 3, 0, 1]),
    ],
)
def test_random_operators_also_give_what_is_in_the_middle(draw: Callable[[], Tensor], middle: list[float]) -> None:
    torch.testing.assert_close(drawn(draw, MIDDLE), torch.as_tensor(middle))


def test_numbers_of_python_and_numpy_are_high_low_and_in_the_middle() -> None:
    model, before = nn.Identity(), np.random.get_state()[1].copy()  # noqa: NPY002
    for place, low, high in ((HIGH, 0.8, 1.0), (LOW, 0.0, 0.2), (MIDDLE, 0.4, 0.6)):
        with Setting(X, training=True, place=place).of(model) as draws:
            assert low < random.random() < high and low < np.random.rand() < high  # noqa: NPY002
        assert draws.drawn
    with Setting(X, training=True).of(model) as draws:
        pass
    assert not draws.drawn and (np.random.get_state()[1] == before).all()  # noqa: NPY002


@given(st.floats(0, 0.9), st.integers(1, 5), st.sampled_from([HIGH, LOW, MIDDLE]))
def test_dropout_of_fewer_channels_is_that_of_more_without_the_others(p: float, kept: int, place: float) -> None:
    x = torch.arange(6.0)
    with SteadyDraws(place):
        assert torch.equal(F.dropout(x, p)[:kept], F.dropout(x[:kept], p))


def test_what_is_not_known_is_still_random_and_says_so() -> None:
    with SteadyDraws(HIGH) as draws:
        torch.poisson(torch.ones(2))
    assert draws.drawn and draws.unsteady
    with SteadyDraws(HIGH) as draws:
        assert torch.equal(X + 1, X.add(1))
    assert not draws.drawn


class Net(nn.Module):
    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.fc, self.between = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2), between

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.conv(images))
        return self.fc((self.between(x) if self.training else x).mean((2, 3)))


def refusing(_x: Tensor) -> Tensor:
    raise ValueError("does not train")


@pytest.mark.parametrize(
    ("between", "settings"),
    [
        (lambda x: x.relu(), [(HIGH, False)]),
        (lambda x: F.dropout(x, 0.5), [(HIGH, False), (LOW, False), (MIDDLE, False)]),
        (lambda x: x + torch.poisson(torch.ones(3, 1, 1).double()), [(HIGH, True), (LOW, True), (MIDDLE, True)]),
        (lambda x: x / 0, []),
        (refusing, []),
    ],
    ids=["plain", "dropout", "poisson", "infinite", "refusing"],
)
def test_in_which_settings_a_network_trains(
    between: Callable[[Tensor], Tensor], settings: list[tuple[float, bool]]
) -> None:
    model = Net(between).double().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    numbers = torch.get_rng_state(), random.getstate()
    found = training_settings(model, images_like(torch.zeros(1, 1, 4, 4)))
    assert [(setting.place, setting.by_chance) for setting in found] == settings
    assert all(setting.training and len(setting.images) == IMAGES for setting in found)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(numbers[0], torch.get_rng_state()) and numbers[1] == random.getstate()
    assert not model.training


def test_a_difference_is_a_share_of_the_largest_number() -> None:
    image = torch.zeros(1, 1, 4, 4)
    one, other = torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0])
    assert Setting(image).difference(one, other) == 0.25
    assert Setting(image).difference(one, other[:1]) != Setting(image).difference(one, other[:1])  # NaN
    nothing = torch.zeros(2)
    assert not Setting(image).difference(nothing, nothing) <= 1
    assert Setting(image, training=True).difference(nothing, nothing) == 0
    assert Setting(image, training=True).difference(one / 0, other / 0) == 0
    assert Setting(image, training=True).difference(one, other) == 0.25
    assert Setting(image, training=True, by_chance=True).difference(one, other) == 0
