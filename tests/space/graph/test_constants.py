"""Constants that meet each other before they meet a map, norms of two layers, parameters of a range of their own."""

from collections.abc import Callable

import networks
import pytest
import torch
from coupled import Hidden
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

IMAGE = torch.zeros(1, 1, 4, 4)


class Frozen(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.norm = FrozenBatchNorm2d(4)

    def between(self, x: Tensor) -> Tensor:
        return self.norm(x)


class Scaled(Hidden):
    """A scale of every channel and another constant, combined in either order."""

    def __init__(self, how: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.how = how
        self.scale, self.other = nn.Parameter(torch.randn(4, 1, 1)), nn.Parameter(torch.randn(shape))

    def between(self, x: Tensor) -> Tensor:
        return x * self.how(self.scale, self.other)


class SharedNorm(Hidden):
    """One norm after two layers: their channels can only go together."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Conv2d(4, 5, 1), nn.Conv2d(5, 5, 1), norm
        self.back = nn.Conv2d(5, 4, 1)

    def between(self, x: Tensor) -> Tensor:
        return self.back(self.norm(self.second(self.norm(self.first(x)).relu())).relu())


class Ranged(Hidden):
    """A scale that has to lie between 0 and `highest`, or the function of it is no number."""

    def __init__(self, function: Callable[[Tensor], Tensor], start: float) -> None:
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.full((1, 4, 1, 1), start))

    def between(self, x: Tensor) -> Tensor:
        return x / self.function(self.scale)


BOTH = {"stem": 4, "hidden": 3}
SHARED = {"stem": 4, "first": 5, "back": 4, "hidden": 3}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "frozen norm": (Frozen, BOTH),
    "scale, number": (lambda: Scaled(lambda scale, other: scale * other, (1,)), BOTH),
    "number, scale": (lambda: Scaled(lambda scale, other: other * scale, (1,)), BOTH),
    "scale, scale": (lambda: Scaled(lambda scale, other: other.exp() * scale, (1, 4, 1, 1)), BOTH),
    "shared batch norm": (lambda: SharedNorm(nn.BatchNorm2d(5)), SHARED),
    "shared frozen norm": (lambda: SharedNorm(FrozenBatchNorm2d(5)), SHARED),
    "shared slopes": (lambda: SharedNorm(nn.PReLU(5)), SHARED),
    "shared slope": (lambda: SharedNorm(nn.PReLU()), SHARED | {"second": 5}),
    "positive": (lambda: Ranged(Tensor.sqrt, 1.0), BOTH),
    "between one and minus one": (lambda: Ranged(lambda scale: 2 - scale.arccos() / 4, -0.95), BOTH),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_masked_is_what_is_cut(name: str) -> None:
    torch.manual_seed(0)
    make, groups = NETWORKS[name]
    space = networks.exact(make(), IMAGE)
    assert space.graph.groups == groups
