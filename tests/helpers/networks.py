"""Networks small enough to count by hand, each with one kind of coupling, and the suite's large models."""

from functools import cache

import torch
from coupled import COUPLED
from torch import Tensor, nn

from benchmark.config.params import ModelRef
from benchmark.models import build
from benchmark.space import ChannelSpace, SearchSpace, build_space, count
from benchmark.space.surgery.mask_and_cut import run


class TwoConvolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.second = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.second(self.first(x).relu())).relu().mean((2, 3)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.inner = nn.Conv2d(4, 2, 3, padding=1, bias=False)
        self.outer = nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.stem(x)
        return self.head((stream + self.outer(self.inner(stream.relu()).relu())).mean((2, 3)))


class Flattened(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(12, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.pool(self.conv(x)).flatten(1)).relu())


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(1, 3, 3, padding=1)
        self.right = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(5)
        self.join = nn.Conv2d(5, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.join(self.norm(torch.cat([self.left(x), self.right(x)], 1)).relu()).mean((2, 3)))


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(1, 4, 1)
        self.spatial = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.project = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.project(self.spatial(self.expand(x)).relu()).mean((2, 3)))


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.last = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.grouped(self.first(x)).relu()).mean((2, 3)))


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.twice(self.twice(self.stem(x)).relu()).relu()).mean((2, 3)))


class ConvolutionalClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 4, 3, padding=1)
        self.classifier = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).relu()).relu().mean((2, 3))


class SumOfConcatenation(nn.Module):
    """The sum's first layer couples channels that the others produce in two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = nn.Conv2d(1, 5, 1)
        self.left = nn.Conv2d(1, 3, 3, padding=1)
        self.right = nn.Conv2d(1, 2, 1)
        self.last = nn.Conv2d(5, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        both = self.whole(x) + torch.cat([self.left(x), self.right(x)], 1)
        return self.head(self.last(both.relu()).relu().mean((2, 3)))


class Siamese(nn.Module):
    """One layer reads two couplings in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(1, 4, 3, padding=1)
        self.right = nn.Conv2d(1, 4, 1)
        self.shared = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.shared(self.left(x).relu()), self.shared(self.right(x).relu())
        return self.head((left * right.relu()).mean((2, 3)))


TOYS = [
    TwoConvolutions,
    Residual,
    Flattened,
    Concatenated,
    Depthwise,
    Grouped,
    Repeated,
    ConvolutionalClassifier,
    SumOfConcatenation,
    Siamese,
]
LARGE = {"vgg16": ModelRef(name="own:vgg16", width=0.125), "resnet20": ModelRef(name="own:resnet20", width=0.5)}
NAMES = [*LARGE, *(toy.__name__ for toy in TOYS)]
SIZES = {"vgg16": 8, "resnet20": 8} | dict.fromkeys([*(toy.__name__ for toy in TOYS), *COUPLED], 4)


def network(name: str) -> nn.Module:
    """A fresh network with random weights and running statistics that are not the identity."""
    torch.manual_seed(0)
    toys = {toy.__name__: toy for toy in TOYS} | COUPLED
    module = toys[name]() if name in toys else build(LARGE[name], 1, 5, 8)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    return module


def example(name: str) -> Tensor:
    return torch.zeros(1, 1, SIZES[name], SIZES[name])


@cache
def space(name: str, granularity: str, cost: str = "params") -> SearchSpace:
    return build_space(network(name), example(name), granularity, cost)


def random_mask(space: SearchSpace, seed: int, share: float = 0.5) -> Tensor:
    """A mask with about `share` of the units and at least one in every group."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.rand(space.n, generator=draw)
    mask = scores < share
    for part, score in zip(mask.split(space.sizes), scores.split(space.sizes), strict=True):
        part[score.argmin()] = True
    return mask


def exact(model: nn.Module, image: Tensor) -> ChannelSpace:
    """The model's space, after a look whether masked is extracted and costs are counted."""
    space = ChannelSpace(model, image)
    model = model.double().eval()
    images = torch.randn(3, *image.shape[1:], dtype=torch.float64)
    for seed in range(3):
        mask = random_mask(space, seed)
        extracted = space.extract(model, space.architecture(mask)).eval()
        there = run(model, space.gate(dict(model.named_parameters()), mask.double()), images)
        assert (extracted(images) - there).abs().max() <= 1e-9 * there.abs().max()
        assert count(extracted.float(), image) == (space.params(mask), space.macs(mask))
    return space
