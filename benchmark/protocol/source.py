"""What the three steps share: the source task of a spec and its large model, the same for equal seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from benchmark import data, models, seeds
from benchmark.cells import Cell, Context
from benchmark.config import DatasetRef, ModelRef, Recipe, Split
from benchmark.data import ImageData
from benchmark.data.splits import assert_disjoint, split_source
from benchmark.data.statistics import channel_stats
from benchmark.errors import BenchError
from benchmark.training import Task, batches, fit, on_device, ready


@dataclass(frozen=True)
class Source:
    """The source's parts on the device, the recipe, and the large model's shape."""

    train: Task
    validation: Task
    test: Task
    recipe: Recipe
    model: ModelRef
    channels: int
    size: int
    classes: int
    seed: int
    device: str

    def large_model(self) -> nn.Module:
        """Return the large model with the initial weights that all methods share for this seed."""
        network = models.build(self.model, self.channels, self.classes, self.size)
        models.initialise(network, seeds.derive(self.seed, "init"))
        return on_device(network, self.device)

    def example(self) -> Tensor:
        """Return an input of the large model's shape, [1, C, H, W]."""
        return torch.zeros(1, self.channels, self.size, self.size)

    def train_on_source(self, network: nn.Module, masks: Mapping[str, Tensor] = MappingProxyType({})) -> int:
        """Train the network in place on the source, batches in the order all methods share; returns images seen."""
        generator = seeds.generator(self.seed, "source-order")
        ready(network, self.recipe)
        fit(
            network,
            dict(network.named_parameters()),
            batches(self.train, self.recipe, generator),
            self.recipe,
            masks,
        )
        network.eval()
        return self.recipe.steps * min(self.recipe.batch, len(self.train))


def open_source(cell: Cell, context: Context) -> Source:
    """Open the prepared source set of a cell, split it by the cell's seed and check that the parts are disjoint."""
    spec = cell.spec
    images = opened(spec["source"], spec["source_digest"], context)
    split = split_source(images.labels, Split(**spec["split"]), seeds.derive(spec["seed"], "split"), images.groups)
    assert_disjoint(images.images, split.train, split.validation, split.test)
    mean, std = channel_stats(images.images, split.train)
    every = Task(images.images, images.labels, mean, std)
    return Source(
        train=every.at(split.train).to(spec["device"]),
        validation=every.at(split.validation).to(spec["device"]),
        test=every.at(split.test).to(spec["device"]),
        recipe=Recipe(**spec["training"]),
        model=ModelRef(**spec["model"]),
        channels=images.images.shape[1],
        size=images.images.shape[-1],
        classes=len(images.classes),
        seed=spec["seed"],
        device=spec["device"],
    )


def opened(ref: dict[str, Any], digest: str, context: Context) -> ImageData:
    """Open a prepared data set; it must be the one whose digest stands in the spec."""
    images = data.open_prepared(DatasetRef(**ref), context.data_root)
    if images.digest != digest:
        raise BenchError(f"{images.name}: the prepared data changed since this cell was planned; run again")
    return images
