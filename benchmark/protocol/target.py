"""A target task as all that measures see it: its images, its pool and test part, its episodes."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmark import seeds
from benchmark.data import ImageData
from benchmark.data.splits import TargetSplit, assert_disjoint, split_target
from benchmark.jobs.specs import TargetSpec
from benchmark.protocol.episodes import Episode, episode
from benchmark.protocol.measures import Queries
from benchmark.protocol.source import Source, opened
from benchmark.training.loop import Task


@dataclass(frozen=True)
class Target:
    """The images of a target, shown with the source's normalisation, and how the episodes of a seed are drawn."""

    label: str
    images: ImageData
    split: TargetSplit
    task: Task
    ways: int | None
    place: tuple[str, int, Path]

    def episodes(self, shots: int, count: int) -> list[Episode]:
        """Return the first `count` episodes with so many shots; they are the same in every measure."""
        return _episodes(*self.place, shots, count)

    @property
    def queries(self) -> Queries:
        """What is classified in every episode: the test part."""
        return Queries(self.split.test, self.images.labels[self.split.test])

    @property
    def chance(self) -> float:
        """What guessing gives."""
        return 1 / (self.ways or len(self.images.classes))


def open_target(spec: TargetSpec, seed: int, source: Source, root: Path) -> Target:
    """Open a prepared target set below `root`, split it by the seed and check that its parts are disjoint."""
    # Which measures are taken of it does not change the target.
    bare = TargetSpec(
        label=spec.label, ref=spec.ref, digest=spec.digest, pool=spec.pool, shots=[], test=spec.test, ways=spec.ways
    )
    place = (bare.model_dump_json(), seed, root)
    images, split = _parts(*place)
    task = Task(images.images, images.labels, source.train.mean.cpu(), source.train.std.cpu())
    return Target(spec.label, images, split, task, spec.ways, place)


# A worker computes many jobs of one seed; hashing every image for each would take longer than a small training.
@lru_cache(maxsize=16)
def _parts(bare: str, seed: int, root: Path) -> tuple[ImageData, TargetSplit]:
    spec = TargetSpec.model_validate_json(bare)
    images = opened(spec.ref, spec.digest, root)
    split = split_target(images.labels, spec.pool, seeds.derive(seed, "target", spec.label), images.groups, spec.test)
    assert_disjoint(images.images, split.pool, split.test)
    return images, split


@lru_cache(maxsize=64)
def _episodes(bare: str, seed: int, root: Path, shots: int, count: int) -> list[Episode]:
    images, split = _parts(bare, seed, root)
    spec = TargetSpec.model_validate_json(bare)
    return [episode(images, split, spec.label, spec.ways, shots, number, seed) for number in range(count)]
