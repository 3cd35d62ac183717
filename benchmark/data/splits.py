"""Parts of a data set: source split, target pool and test part, k-shot draws; all by seed, all disjoint by content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config.params import Split
from benchmark.data.transforms import image_hashes
from benchmark.errors import BenchError
from benchmark.seeds import generator


@dataclass(frozen=True)
class SourceSplit:
    """Ascending int64 indices of the parts of a source set."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class TargetSplit:
    """Ascending int64 indices of the parts of a target set: `pool` feeds the k-shot draws, `test` measures."""

    pool: Tensor
    test: Tensor


def split_source(labels: Tensor, split: Split, seed: int, groups: Tensor | None = None) -> SourceSplit:
    """Cut a source set, class by class, into train, validation and test.

    A class of n images gives round(n * split.train) to train, round(n * split.validation) to validation (halves
    rounded up) and the rest to test. `groups` (see `ImageData`) keeps equal images together in one part; the sizes
    stay exact as long as the groups fit into them. `BenchError` when a class has too few images, or too few different
    ones, to be in every part.
    """
    counts = _class_counts(labels)
    train = np.floor(counts * split.train + 0.5).astype(np.int64)
    validation = np.floor(counts * split.validation + 0.5).astype(np.int64)
    sizes = np.stack([train, validation, counts - train - validation])
    if sizes.min() < 1:
        label = int(sizes.min(0).argmin())
        raise BenchError(
            f"data.split: class {label} has {counts[label]} images, too few for a train, a validation and a test part; "
            "leave the class out or change the shares"
        )
    _check_different(labels, groups, 3, "a train, a validation and a test part")
    found = SourceSplit(*_assign(labels, sizes, groups, seed, "source split"))
    _check_parts(labels, groups, {"train": found.train, "validation": found.validation, "test": found.test})
    return found


def split_target(
    labels: Tensor, pool_per_class: int, seed: int, groups: Tensor | None = None, test_per_class: int | None = None
) -> TargetSplit:
    """Draw `pool_per_class` images of each class as the pool; the rest is test, or `test_per_class` drawn from it.

    A class that has fewer left gives all. `groups` as in `split_source`.
    """
    counts = _class_counts(labels)
    if counts.min() <= pool_per_class:
        label = int(counts.argmin())
        raise BenchError(
            f"data.pool: {pool_per_class} images per class, but class {label} has {counts[label]} and some must stay "
            "for the test; lower data.pool or leave the class out"
        )
    sizes = np.stack([np.full_like(counts, pool_per_class), counts - pool_per_class])
    _check_different(labels, groups, 2, "a pool and a test part")
    pool, test = _assign(labels, sizes, groups, seed, "target split")
    _check_parts(labels, groups, {"pool": pool, "test": test})
    if test_per_class is not None:
        random = generator(seed, "target test")
        kept = [
            members[torch.randperm(len(members), generator=random)[:test_per_class]]
            for members in (test[labels[test] == label] for label in range(len(counts)))
        ]
        test = torch.cat(kept).sort().values
    return TargetSplit(pool, test)


def check_shots(labels: Tensor, pool: Tensor, shots: int, groups: Tensor | None = None) -> None:
    """Raise `BenchError` unless the pool has `shots` different images of every class, so that shots are no copies."""
    own = None if groups is None else groups[pool]
    found = _different(labels[pool], own)
    label = int(found.argmin())
    if found[label] < shots:
        raise BenchError(
            f"transfer.shots: {shots} shots, but of class {label} the pool holds {int((labels[pool] == label).sum())} "
            f"images, {found[label]} different ones; raise data.pool, lower the shots, remove repeated images, or "
            "leave the class out"
        )


def draw_ways(classes: Sequence[str], ways: int, seed: int, draw: int) -> list[int]:
    """Draw `ways` classes that share the part of their name before the slash; returns their labels, in random order.

    Names without a slash are one such group. The group is drawn evenly among those with enough classes.
    """
    members: dict[str, list[int]] = {}
    for label, name in enumerate(classes):
        members.setdefault(name.rpartition("/")[0], []).append(label)
    enough = [group for group in members.values() if len(group) >= ways]
    if not enough:
        most = max(len(group) for group in members.values())
        raise BenchError(
            f"data.targets: ways: {ways} classes, but no group of classes has more than {most}; lower ways"
        )
    random = generator(seed, "ways", draw)
    group = enough[int(torch.randint(len(enough), (1,), generator=random))]
    order = torch.randperm(len(group), generator=random)[:ways]
    return [group[index] for index in order.tolist()]


def draw_shots(labels: Tensor, pool: Tensor, shots: int, seed: int, draw: int) -> Tensor:
    """Draw `shots` images of every class from `pool` without replacement.

    Returns int64 indices [shots * classes] into the whole set, class by class. Each `draw` is independent.
    """
    random = generator(seed, "shots", shots, draw)
    chosen = []
    for label in labels.unique().tolist():
        members = pool[labels[pool] == label]
        if len(members) < shots:
            raise BenchError(
                f"transfer.shots: {shots} shots, but the pool holds {len(members)} images of class {label}; "
                "raise data.pool or lower the shots"
            )
        chosen.append(members[torch.randperm(len(members), generator=random)[:shots]])
    return torch.cat(chosen)


def assert_disjoint(images: Tensor, *parts: Tensor) -> None:
    """Raise `AssertionError` when two of the index tensors `parts` share an image, compared by content."""
    seen: dict[bytes, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for index in part.tolist():
            first = seen.setdefault(image_hashes(images[index : index + 1].numpy())[0], (number, index))
            if first[0] != number:
                raise AssertionError(
                    f"image {index} of part {number} is the same as image {first[1]} of part {first[0]}"
                )


def _class_counts(labels: Tensor) -> NDArray[np.int64]:
    counts = np.bincount(labels.numpy())
    if len(counts) == 0:
        raise BenchError("data: a set without images cannot be split; see which files `dapbench validate` skips")
    return counts


def _different(labels: Tensor, groups: Tensor | None) -> NDArray[np.int64]:
    """The number of different images of each class."""
    if groups is None:
        return _class_counts(labels)
    pairs = np.unique(np.stack([labels.numpy(), groups.numpy()]), axis=1)
    return np.bincount(pairs[0], minlength=len(_class_counts(labels)))


def _check_different(labels: Tensor, groups: Tensor | None, needed: int, parts: str) -> None:
    different = _different(labels, groups)
    label = int(different.argmin())
    if different[label] < needed:
        raise BenchError(
            f"data: class {label} has {_class_counts(labels)[label]} images, but only {different[label]} different "
            f"ones, too few for {parts} that share none; add images or leave the class out"
        )


def _check_parts(labels: Tensor, groups: Tensor | None, parts: Mapping[str, Tensor]) -> None:
    """Equal images stay together, so a class of many equal ones may be missing in a part although it is large."""
    for name, index in parts.items():
        found = np.bincount(labels[index].numpy(), minlength=len(_class_counts(labels)))
        if found.min() == 0:
            label = int(found.argmin())
            raise BenchError(
                f"data: class {label} has {_class_counts(labels)[label]} images, {_different(labels, groups)[label]} "
                f"different ones, and none is left for the {name} part, because equal images stay in one part; add "
                "images, remove repeated ones, or leave the class out"
            )


def _assign(
    labels: Tensor, sizes: NDArray[np.int64], groups: Tensor | None, seed: int, purpose: str
) -> Sequence[Tensor]:
    """Return one index tensor per row of `sizes` [parts, classes], which is filled exactly if groups allow it.

    Sets of equal images are placed first, each into a part drawn in proportion to `sizes` among those with room for it.
    """
    random = generator(seed, purpose)
    label = labels.numpy()
    room = sizes.copy()
    part = np.full(len(label), -1, dtype=np.int64)
    if groups is not None:
        weights = sizes.sum(1)
        for members in _equal_images(groups.numpy()):
            needed = np.bincount(label[members], minlength=room.shape[1])
            fits = (room >= needed).all(1)
            odds = torch.from_numpy(np.where(fits, weights, 0) if fits.any() else weights).double()
            chosen = int(torch.multinomial(odds, 1, generator=random))
            part[members] = chosen
            room[chosen] -= needed
    for value in range(room.shape[1]):
        members = np.flatnonzero((label == value) & (part < 0))
        members = members[torch.randperm(len(members), generator=random).numpy()]
        # A group that fitted nowhere has taken too much of one part; the last part makes up for it.
        ends = np.minimum(np.cumsum(np.maximum(room[:-1, value], 0)), len(members))
        for number, piece in enumerate(np.split(members, ends)):
            part[piece] = number
    return [torch.from_numpy(np.flatnonzero(part == number)) for number in range(len(sizes))]


def _equal_images(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The members of every set of two or more equal images, in order of their first."""
    firsts, counts = np.unique(groups, return_counts=True)
    return [np.flatnonzero(groups == first) for first in firsts[counts > 1]]
