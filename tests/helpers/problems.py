"""Search problems small enough to be solved in a fraction of a second, and networks small enough to count by hand."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from benchmark import models
from benchmark.config.params import ModelRef, Recipe
from benchmark.pruning.problem import Problem
from benchmark.space import SearchSpace, build_space
from benchmark.training.loop import Task, on_device

VGG = ModelRef(name="own:vgg16", width=0.0625)
RESNET = ModelRef(name="own:resnet20", width=0.25)
SIZE = 8
CLASSES = 3
RECIPE = Recipe(steps=4, batch=12, lr=0.05)
BUDGETS = (0.5, 0.1, 0.03)
SHALLOW = (0.9, 0.7, 0.4)  # whole blocks are left out; one of a stage always stays


class TwoConvolutions(nn.Module):
    """Groups `first` (2 channels) and `second` (3 channels); smooth, so that it has derivatives of every order."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.second = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.head = nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))).mean((2, 3)))


class Residual(nn.Module):
    """Groups `stem` (4 channels, with `outer` in one sum) and `inner` (2 channels)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.inner = nn.Conv2d(4, 2, 3, padding=1, bias=False)
        self.outer = nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(4, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.stem(x)
        return self.head((stream + self.outer(self.inner(stream.relu()).relu())).mean((2, 3)))


class Normed(nn.Module):
    """One group `conv` of 4 channels, behind a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


def task(count: int, seed: int, size: int = SIZE) -> Task:
    """Noise with a bright row whose place is the class, so that a few steps learn something."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    images = torch.randint(0, 120, (count, 1, size, size), generator=draw, dtype=torch.uint8)
    images[torch.arange(count), 0, labels + 1] += 120
    return Task(images, labels, torch.tensor([0.3]), torch.tensor([0.25]))


def vgg() -> nn.Module:
    return models.build(VGG, 1, CLASSES, SIZE)


def resnet() -> nn.Module:
    return models.build(RESNET, 1, CLASSES, SIZE)


@cache
def space_of(build: Callable[[], nn.Module], granularity: str, cost: str = "params") -> SearchSpace:
    return build_space(build(), torch.zeros(1, 1, SIZE, SIZE), granularity, cost)


@cache
def pretrained_weights(seed: int, build: Callable[[], nn.Module] = vgg) -> tuple[dict[str, Tensor], int]:
    made = problem("channel", seed=seed, build=build)
    return made.retrain(torch.ones(made.space.n, dtype=torch.bool), made.initial()), made.flops


def problem(
    granularity: str,
    budgets: tuple[float, ...] = BUDGETS,
    seed: int = 0,
    build: Callable[[], nn.Module] = vgg,
    recipe: Recipe = RECIPE,
    **more: Any,
) -> Problem:
    """A problem on a network of its own; the pretrained weights are shared, so a pruner must not write to them."""
    return Problem(
        space=space_of(build, granularity),
        network=on_device(build(), "cpu"),  # as jobs have it
        train=task(30, 1),
        validation=task(15, 2),
        recipe=recipe,
        budgets=budgets,
        seed=seed,
        device="cpu",
        **{"load_pretrained": lambda: pretrained_weights(seed, build), **more},
    )


def dearest_unit(space: SearchSpace, mask: Tensor) -> int:
    """The cost of the one more unit that would cost most; 0 where every unit is kept."""
    present = space.exact_cost(mask)
    costs = [0]
    for alike in space.alike:
        dropped = torch.nonzero(~mask[alike]).flatten()
        if len(dropped):
            more = mask.clone()
            more[alike][dropped[0]] = True
            costs.append(space.exact_cost(more) - present)
    return max(costs)
