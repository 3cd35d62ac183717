"""Networks with blocks to skip, small enough to count by hand, each with one kind of block."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from benchmark.config.params import ModelRef
from benchmark.models import build
from benchmark.space import BlockSpace, build_space


class Bottleneck(nn.Module):
    """4 channels, 2 inside: 9 * 4 * 2 and 2 * 4 + 4 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 2, 3, padding=1, bias=False)
        self.outer = nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x).relu())


class TwoBottlenecks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.first = Bottleneck()
        self.second = Bottleneck()
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(self.stem(x))).mean((2, 3)))


class Basic(nn.Module):
    """A block of a ResNet; its projection makes the map smaller."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(taken, given, 3, stride, padding=1, bias=False)
        self.one_norm = nn.BatchNorm2d(given)
        self.two = nn.Conv2d(given, given, 3, padding=1, bias=False)
        self.two_norm = nn.BatchNorm2d(given)
        self.project = nn.Conv2d(taken, given, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu_(self.one_norm(self.one(x)))
        out = self.two_norm(self.two(out))
        out += self.project(x)
        return out.relu()


class Stages(nn.Module):
    """The first block reads a stem without ReLU: without its branch it is no identity."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.blocks = nn.Sequential(Basic(3, 3, 1), Basic(3, 3, 1), Basic(3, 5, 2), Basic(5, 5, 1))
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Layers(nn.Module):
    """No sum: two convolutions and two linear layers that are as wide as what they read."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU()),
        )
        self.hidden = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.features(x).mean((2, 3))))


class Encoder(nn.Module):
    """Attention with a tuple of results and a layer scale, then hidden units: two branches in one module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.scale = nn.Parameter(torch.full((4,), 0.1))
        self.mlp = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        read = self.norm(x)
        x = x + self.scale * self.attention(read, read, read)[0]
        return x + self.mlp(x)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 4, 2, 2)
        self.encoders = nn.Sequential(Encoder(), Encoder(), Encoder())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoders(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class Plain(nn.Module):
    """No sum: of four convolutions with norm and ReLU the middle two can be left out, with a pooling between them."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for taken, given in ((1, 3), (3, 3), (3, 3), (3, 2)):
            layers += [nn.Conv2d(taken, given, 3, padding=1, bias=False), nn.BatchNorm2d(given), nn.ReLU()]
        self.features = nn.Sequential(*layers[:6], nn.MaxPool2d(2), *layers[6:])
        self.head = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


TOYS: dict[str, Callable[[], nn.Module]] = {
    toy.__name__: toy for toy in (TwoBottlenecks, Stages, Layers, Plain, Tokens)
}
LARGE = {
    "vgg16": ModelRef(name="own:vgg16", width=0.125),
    "resnet20": ModelRef(name="own:resnet20", width=0.5),
    "resnet18": ModelRef(name="torchvision:resnet18"),
    "vit": ModelRef(name="timm:vit_tiny_patch16_224", options={"depth": 3, "embed_dim": 24}),
}
SIZES = {"vgg16": 16, "resnet20": 8, "resnet18": 32, "vit": 32}
CASES = [(name, granularity) for name in (*TOYS, *LARGE) for granularity in ("block", "block+channel")]


def network(name: str) -> nn.Module:
    """A fresh network with random weights, norms that are not the identity, and no dropout."""
    torch.manual_seed(0)
    module = TOYS[name]() if name in TOYS else build(LARGE[name], 1, 5, SIZES[name])
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    return module


def example(name: str) -> Tensor:
    return torch.zeros(1, 1, *[SIZES.get(name, 4)] * 2)


@cache
def space(name: str, granularity: str = "block", cost: str = "params") -> BlockSpace:
    found = build_space(network(name), example(name), granularity, cost)
    assert isinstance(found, BlockSpace)
    return found
