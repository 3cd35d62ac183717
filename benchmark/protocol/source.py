"""What the steps share: the source task of a spec and its large model, the same for equal seeds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from benchmark import data, models, seeds
from benchmark.config.params import DatasetRef, ModelRef, Recipe, Split
from benchmark.data import ImageData
from benchmark.data.splits import assert_disjoint, split_source
from benchmark.data.statistics import channel_stats
from benchmark.errors import BenchError
from benchmark.jobs.specs import SourceSpec
from benchmark.jobs.store import Context
from benchmark.training.loop import Task, Taught, batches, fit, on_device, set_train_mode


@dataclass(frozen=True)
class Parts:
    """The parts of a source set, on the CPU, and its number of classes."""

    train: Task
    validation: Task
    test: Task
    classes: int


@dataclass(frozen=True)
class Source:
    """The source's parts on the device, the recipe, and the large model's shape."""

    train: Task
    validation: Task
    test: Task
    recipe: Recipe
    model: ModelRef
    classes: int
    seed: int
    device: str

    def large_model(self) -> nn.Module:
        """Return the large model with the initial weights that all methods share for this seed."""
        channels, size, _ = self.train.shape
        network = models.build(self.model, channels, self.classes, size)
        models.initialise(network, seeds.derive(self.seed, "init"))
        return on_device(network, self.device)

    def example(self) -> Tensor:
        """Return an input of the large model's shape, [1, C, H, W]."""
        return torch.zeros(1, *self.train.shape)

    def train_on_source(
        self, network: nn.Module, masks: Mapping[str, Tensor] = MappingProxyType({}), taught: Taught | None = None
    ) -> int:
        """Train the network in place on the source, batches in the order all methods share; returns images seen.

        `taught` is that of `benchmark.training.loop.fit`.
        """
        return trained_on(network, self.train, self.recipe, self.seed, masks, taught=taught)


def trained_on(
    network: nn.Module,
    task: Task,
    recipe: Recipe,
    seed: int,
    masks: Mapping[str, Tensor] = MappingProxyType({}),
    on_step: Callable[[int, float], None] | None = None,
    taught: Taught | None = None,
) -> int:
    """Train the network in place on a task, in the order of batches of `seed`; returns images seen."""
    data = batches(task, recipe, seeds.generator(seed, "source-order"))
    fit(set_train_mode(network, recipe), dict(network.named_parameters()), data, recipe, masks, on_step, taught=taught)
    network.eval()
    return recipe.steps * min(recipe.batch, len(task))


def open_source(spec: SourceSpec, context: Context) -> Source:
    """Open the prepared source set of a job, split it by the job's seed and check that the parts are disjoint."""
    ref, split = spec.source.model_dump_json(), spec.split.model_dump_json()
    parts = _parts(ref, spec.source_digest, split, spec.seed, context.data_root)
    return Source(
        train=parts.train.to(spec.device),
        validation=parts.validation.to(spec.device),
        test=parts.test.to(spec.device),
        recipe=spec.training,
        model=spec.model,
        classes=parts.classes,
        seed=spec.seed,
        device=spec.device,
    )


# A worker computes many jobs of one seed; hashing every image for each would take longer than a small training.
@lru_cache(maxsize=4)
def _parts(ref: str, digest: str, split: str, seed: int, root: Path) -> Parts:
    images = opened(DatasetRef.model_validate_json(ref), digest, root)
    shares = Split.model_validate_json(split)
    found = split_source(images.labels, shares, seeds.derive(seed, "split"), images.groups)
    assert_disjoint(images.images, found.train, found.validation, found.test)
    every = Task(images.images, images.labels, *channel_stats(images.images, found.train))
    return Parts(
        every.subset(found.train), every.subset(found.validation), every.subset(found.test), len(images.classes)
    )


def opened(ref: DatasetRef, digest: str, root: Path) -> ImageData:
    """Open a prepared data set below `root`; it must be the one whose digest stands in the spec."""
    images = data.open_prepared(ref, root)
    if images.digest != digest:
        raise BenchError(f"{images.name}: the prepared data changed since this job was planned; run again")
    return images
