"""The training loops that one writes without this package: a data loader, masks instead of extraction, one by one."""

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmark.config.params import Recipe
from benchmark.protocol.fewshot import Draw
from benchmark.training.loop import Task


class Images(Dataset[tuple[Tensor, Tensor]]):
    """A task's images one by one, each converted and normalised when it is asked for."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __len__(self) -> int:
        return len(self.task)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image [C, H, W] and its label."""
        return self.task.normalise(self.task.pixels(torch.tensor(index))), self.task.labels[index]


def train(network: nn.Module, task: Task, recipe: Recipe, masks: Mapping[str, Tensor] | None = None) -> None:
    """Train by SGD with a cosine schedule; `masks` (0 or 1, by the weights' names) are applied after every step."""
    network.to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.SGD(network.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    loader = DataLoader(Images(task), min(recipe.batch, len(task)), shuffle=True, drop_last=True)
    for images, labels in itertools.islice(_forever(loader), recipe.steps):
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, mask in (masks or {}).items():
                network.get_parameter(name).mul_(mask)


def adapt(
    network: nn.Module, draws: Sequence[Draw], recipe: Recipe, masks: Mapping[str, Tensor] | None = None
) -> list[float]:
    """Fine-tune a copy of the network on every draw, one after the other; returns the accuracies on their tests."""
    found = []
    for draw in draws:
        own = copy.deepcopy(network)
        train(own, draw.train, recipe, masks)
        own.eval()
        with torch.no_grad():
            test = DataLoader(Images(draw.test), len(draw.test))
            right = [(own(images).argmax(1) == labels).float() for images, labels in test]
        found.append(float(torch.cat(right).mean()))
    return found


def _forever(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterable[tuple[Tensor, Tensor]]:
    return itertools.chain.from_iterable(itertools.repeat(loader))
