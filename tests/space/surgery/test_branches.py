"""Layers that the traced image does not reach, and widths that are fixed in training only."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from coupled import Hidden
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import BenchError
from benchmark.space import ChannelSpace

IMAGE = torch.zeros(1, 1, 4, 4)


class Branching(Hidden):
    """A bright image takes another way, through a layer that reads the four channels of the stem."""

    def __init__(self, bright: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self.bright = bright
        self.usual, self.other = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def between(self, x: Tensor) -> Tensor:
        return self.usual(x)

    def forward(self, x: Tensor) -> Tensor:
        if self.bright(x):
            return self.head(self.hidden(self.other(self.stem(x)).mean((2, 3))).relu())
        return super().forward(x)


def test_a_branch_that_another_image_takes_is_listed_and_protected() -> None:
    model = Branching(lambda x: float(x.mean()) > 0.5)
    space = ChannelSpace(model, IMAGE)
    assert space.graph.groups == {"hidden": 3}
    assert space.graph.whole["other"].startswith("did not run on the traced image")
    assert "cannot be cut" in space.graph.whole["stem"]
    network = space.extract(model, space.architecture(torch.tensor([True, False, True])))
    assert (
        torch.isfinite(network(torch.ones(2, 1, 4, 4))).all() and torch.isfinite(network(-torch.ones(2, 1, 4, 4))).all()
    )


def test_a_branch_that_no_image_takes_is_protected_by_its_widths() -> None:
    space = ChannelSpace(Branching(lambda x: abs(float(x[0, 0, 0, 0]) - 0.123) < 1e-9), IMAGE)
    assert space.graph.groups == {"hidden": 3}
    assert "may go with other, which no image that was tried reaches" in space.graph.whole["stem"]
    assert space.graph.whole["other"].startswith("did not run on the traced image")


def test_a_branch_of_another_width_protects_nothing() -> None:
    class Apart(Hidden):
        def __init__(self) -> None:
            super().__init__()
            self.never = nn.Linear(7, 9)

    found = ChannelSpace(Apart(), IMAGE).graph
    assert found.groups == {"stem": 4, "hidden": 3}
    assert list(found.whole) == ["never"]


class Loose(Hidden):
    """A bright image goes through a kernel that is no layer's own."""

    def __init__(self, bright: Callable[[Tensor], bool], used: bool = False) -> None:
        super().__init__()
        self.bright, self.kernel = bright, nn.Parameter(torch.randn(4, 4, 1, 1))
        if used:
            self.scale = nn.Parameter(torch.ones(()))

    def between(self, x: Tensor) -> Tensor:
        return x * self.scale if hasattr(self, "scale") else x

    def forward(self, x: Tensor) -> Tensor:
        if self.bright(x):
            return self.head(self.hidden(F.conv2d(self.stem(x), self.kernel).mean((2, 3))).relu())
        return super().forward(x)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    "bright", [lambda x: float(x.mean()) > 0.5, lambda x: abs(float(x[0, 0, 0, 0]) - 0.123) < 1e-9]
)
def test_a_kernel_that_is_no_layer_s_own_is_protected(bright: Callable[[Tensor], bool], used: bool) -> None:
    space = ChannelSpace(Loose(bright, used), IMAGE)
    assert space.graph.groups == {"hidden": 3}
    assert set(space.graph.whole) == {"kernel, scale" if used else "kernel", "stem"}


@pytest.mark.parametrize("least", [0.5, 1.0, 5.0])
def test_a_fixed_width_behind_a_branch_is_found_without_a_layer(least: float) -> None:
    class Fixed(Hidden):
        def between(self, x: Tensor) -> Tensor:
            return x

        def forward(self, x: Tensor) -> Tensor:
            if float(x.mean()) > least:
                return self.head(self.hidden((self.stem(x) * torch.ones(1, 4, 1, 1)).mean((2, 3))).relu())
            return super().forward(x)

    assert ChannelSpace(Fixed(), IMAGE).graph.groups == {"hidden": 3}


def test_a_layer_of_every_group_s_width_that_never_runs_leaves_them_whole() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.spare = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            self.fc = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.b(self.a(x).relu()).relu().mean((2, 3)))

    with pytest.raises(BenchError, match="may go with spare, which no image that was tried reaches"):
        ChannelSpace(Spare(), IMAGE)


class Training(Hidden):
    """In training four numbers are added to four channels, beside what draws random numbers."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def between(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return x + torch.arange(4.0).to(x).view(4, 1, 1) if self.training else x


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout2d(0.1), nn.Identity()])
def test_a_width_that_is_fixed_in_training_is_found_beside_random_numbers(layer: nn.Module) -> None:
    model = Training(layer)
    before = torch.random.get_rng_state()
    found = ChannelSpace(model, IMAGE).graph
    assert found.groups == {"hidden": 3}
    assert found.whole["stem"].startswith("cannot be cut in training mode: `return x + torch.arange(4.0)")
    assert torch.equal(before, torch.random.get_rng_state())


class ByChance(Hidden):
    """In training, `chance` decides whether four numbers are added to four channels."""

    def __init__(self, chance: Callable[[], bool]) -> None:
        super().__init__()
        self.chance = chance

    def between(self, x: Tensor) -> Tensor:
        return x + torch.arange(4.0).to(x).view(4, 1, 1) if self.training and self.chance() else x


@pytest.mark.parametrize(
    "chance",
    [
        lambda: bool(torch.rand(1) < 0.01),
        lambda: bool(torch.rand(1) > 0.99),
        lambda: bool(torch.empty(1).bernoulli_(0.01)),
        lambda: bool(torch.randn(1) > 1.5),
        lambda: bool(torch.randint(0, 50, (1,)) == 49),
        lambda: random.random() < 0.2,
        lambda: random.random() > 0.8,
        lambda: bool(torch.randint(5, (1,)) == 2),
        lambda: 0.4 < float(torch.rand(1)) < 0.6,
        lambda: np.random.rand() < 0.2,  # noqa: NPY002
        lambda: np.random.rand() > 0.8,  # noqa: NPY002
    ],
)
def test_a_width_that_is_fixed_in_training_by_chance_is_found_whatever_is_drawn(chance: Callable[[], bool]) -> None:
    found = ChannelSpace(ByChance(chance), IMAGE).graph
    assert found.groups == {"hidden": 3}
    assert found.whole["stem"].startswith("cannot be cut in training mode: `return x + torch.arange(4.0)")


def test_what_counts_channels_in_training_only_is_found_beside_random_numbers() -> None:
    """A mean over channels runs with fewer of them, and is another one."""

    class Averaging(Hidden):
        def between(self, x: Tensor) -> Tensor:
            x = nn.functional.dropout(x, 0.5, self.training)
            return x + x.mean(1, keepdim=True) if self.training else x

    found = ChannelSpace(Averaging(), IMAGE).graph
    assert found.groups == {"hidden": 3}
    assert found.whole["stem"].startswith("cutting its channels is not masking them in training mode")


def test_dropout_and_drop_path_alone_leave_nothing_whole() -> None:
    class Dropping(Hidden):
        def between(self, x: Tensor) -> Tensor:
            kept = x.new_empty(len(x), 1, 1, 1).bernoulli_(0.8) if self.training else 1.0
            return nn.functional.dropout2d(x * kept, 0.2, self.training)

    assert ChannelSpace(Dropping(), IMAGE).graph.whole == {}
