"""Splits, draws and the content checks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.config.params import DatasetRef, Split
from benchmark.data import load
from benchmark.data.splits import SourceSplit, assert_disjoint, draw_shots, split_source, split_target
from benchmark.data.transforms import first_equal, image_hashes
from benchmark.errors import BenchError

seeds = st.integers(0, 2**31 - 1)


def parts(split: SourceSplit) -> list[torch.Tensor]:
    return [split.train, split.validation, split.test]


def per_class(labels: torch.Tensor, index: torch.Tensor) -> list[int]:
    return torch.bincount(labels[index], minlength=int(labels.max()) + 1).tolist()


def test_digits_source_has_these_sizes() -> None:
    labels = load(DatasetRef(name="digits", classes=[0, 1, 2, 3, 4])).labels
    assert per_class(labels, torch.arange(len(labels))) == [178, 182, 177, 183, 181]
    split = split_source(labels, Split(), seed=0)
    # 0.6 and 0.2 of each class, rounded: e.g. 178 -> 106.8 and 35.6.
    assert per_class(labels, split.train) == [107, 109, 106, 110, 109]
    assert per_class(labels, split.validation) == [36, 36, 35, 37, 36]
    assert per_class(labels, split.test) == [35, 37, 36, 36, 36]
    assert [len(part) for part in parts(split)] == [541, 180, 180]


def test_digits_target_has_these_sizes() -> None:
    labels = load(DatasetRef(name="digits", classes=[5, 6, 7, 8, 9])).labels
    split = split_target(labels, 20, seed=0)
    assert per_class(labels, split.pool) == [20] * 5
    assert per_class(labels, split.test) == [162, 161, 159, 154, 160]
    assert len(split.pool) + len(split.test) == len(labels) == 896


@given(counts=st.lists(st.integers(5, 40), min_size=2, max_size=6), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_source_split_is_a_stratified_partition_fixed_by_the_seed(counts: list[int], seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    first, again = split_source(labels, Split(), seed), split_source(labels, Split(), seed)
    assert torch.cat(parts(first)).sort().values.tolist() == list(range(len(labels)))
    assert all(torch.equal(a, b) for a, b in zip(parts(first), parts(again), strict=True))
    for part, share in ((first.train, 0.6), (first.validation, 0.2)):
        assert part.dtype == torch.int64
        assert per_class(labels, part) == [int(count * share + 0.5) for count in counts]


def test_seed_zero_is_a_seed() -> None:
    labels = torch.arange(100) % 5
    assert not torch.equal(split_source(labels, Split(), 0).train, split_source(labels, Split(), 1).train)
    assert not torch.equal(split_target(labels, 5, 0).pool, split_target(labels, 5, 1).pool)
    pool = torch.arange(100)
    draws = [draw_shots(labels, pool, 3, seed, draw) for seed, draw in ((0, 0), (1, 0), (0, 1))]
    assert torch.equal(draws[0], draw_shots(labels, pool, 3, 0, 0))
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@given(classes=st.integers(2, 5), pool=st.integers(1, 8), seed=seeds, draw=st.integers(0, 20), data=st.data())
@settings(max_examples=40, deadline=None)
def test_draws_are_balanced_and_stay_in_the_pool(
    classes: int, pool: int, seed: int, draw: int, data: st.DataObject
) -> None:
    labels = torch.arange(classes * 12) % classes
    split = split_target(labels, pool, seed)
    shots = data.draw(st.integers(1, pool))
    chosen = draw_shots(labels, split.pool, shots, seed, draw)
    assert len(chosen) == shots * classes == len(set(chosen.tolist()))
    assert per_class(labels, chosen) == [shots] * classes
    assert set(chosen.tolist()) <= set(split.pool.tolist())
    assert not set(split.pool.tolist()) & set(split.test.tolist())


@given(copies=st.lists(st.integers(0, 39), max_size=15), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_equal_images_stay_together_and_sizes_stay_exact(copies: list[int], seed: int) -> None:
    # Image 40 + i is a copy of image copies[i], whatever its label.
    images = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1)
    images = torch.cat([images, images[copies]])
    labels = torch.arange(len(images)) % 2
    groups = torch.from_numpy(first_equal(image_hashes(images.numpy())))
    split = split_source(labels, Split(), seed, groups)
    assert_disjoint(images, *parts(split))
    assert torch.cat(parts(split)).sort().values.tolist() == list(range(len(images)))
    largest = max([1, *torch.bincount(groups).tolist()])
    if largest <= 3:
        expected = split_source(labels, Split(), seed)
        for part, plain in zip(parts(split), parts(expected), strict=True):
            assert per_class(labels, part) == per_class(labels, plain)


def test_without_groups_copies_would_be_torn_apart() -> None:
    images = torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1).repeat(2, 1, 1, 1)
    labels = torch.arange(40) % 2
    with pytest.raises(AssertionError, match="is the same as image"):
        assert_disjoint(images, *parts(split_source(labels, Split(), 0)))


def test_a_group_larger_than_every_part_goes_into_one() -> None:
    images = torch.zeros(40, 1, 1, 1, dtype=torch.uint8)
    images[26:, 0, 0, 0] = torch.arange(1, 15)
    labels = torch.arange(40) % 2
    groups = torch.tensor([0] * 26 + list(range(26, 40)))
    split = split_source(labels, Split(), 0, groups)
    assert_disjoint(images, *parts(split))
    assert sum(len(part) for part in parts(split)) == 40
    assert all(min(per_class(labels, part)) > 0 for part in parts(split))


def test_a_class_of_one_picture_repeated_is_refused_with_its_number() -> None:
    labels = torch.tensor([0] * 40 + [1] * 40)
    groups = torch.tensor([*range(40), *[40] * 40])
    for cut in (lambda: split_source(labels, Split(), 0, groups), lambda: split_target(labels, 5, 0, groups)):
        with pytest.raises(BenchError, match=r"^data: class 1 has 40 images, but only 1 different ones"):
            cut()


def test_a_class_that_equal_images_keep_out_of_a_part_is_refused() -> None:
    # Of class 0, eight of ten images are equal: train takes them, validation the two others, nothing is left.
    labels = torch.arange(20) % 2
    groups = torch.tensor([0] * 15 + list(range(15, 20)))
    with pytest.raises(BenchError, match=r"^data: class 0 has 10 images, 3 different ones, and none .* the test part"):
        split_source(labels, Split(), 0, groups)


def test_a_set_without_images_is_refused() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    for cut in (lambda: split_source(none, Split(), 0), lambda: split_target(none, 5, 0)):
        with pytest.raises(BenchError, match=r"^data: a set without images"):
            cut()


def test_a_class_missing_in_the_pool_is_refused_by_the_draw() -> None:
    with pytest.raises(BenchError, match=r"^transfer\.shots: 2 shots, but the pool holds 0 images of class 1"):
        draw_shots(torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 1]), 2, seed=0, draw=0)


@given(data=st.data(), counts=st.lists(st.integers(6, 30), min_size=2, max_size=4), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_whatever_is_equal_every_class_is_in_every_part_or_refused(
    data: st.DataObject, counts: list[int], seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    content = data.draw(st.lists(st.integers(0, 12), min_size=len(labels), max_size=len(labels)))
    groups = torch.tensor([content.index(value) for value in content])
    try:
        split = split_source(labels, Split(), seed, groups)
    except BenchError as error:
        assert str(error).startswith("data: class ")
    else:
        for part in parts(split):
            assert min(per_class(labels, part)) > 0


def test_assert_disjoint_compares_pixels_not_indices() -> None:
    images = torch.tensor([1, 2, 1], dtype=torch.uint8).reshape(3, 1, 1, 1)
    assert_disjoint(images, torch.tensor([0, 2]), torch.tensor([1]))
    with pytest.raises(AssertionError, match="image 2 of part 1 is the same as image 0 of part 0"):
        assert_disjoint(images, torch.tensor([0]), torch.tensor([1, 2]))


def test_too_few_images_is_one_line_with_the_class() -> None:
    labels = torch.tensor([0] * 20 + [1] * 2)
    with pytest.raises(BenchError, match=r"^data\.split: class 1 has 2 images"):
        split_source(labels, Split(), 0)
    with pytest.raises(BenchError, match=r"^data\.pool: 2 images per class, but class 1 has 2"):
        split_target(labels, 2, 0)
    with pytest.raises(BenchError, match=r"^transfer\.shots: 3 shots, but the pool holds 2 images of class 1"):
        draw_shots(labels, torch.arange(22), 3, 0, 0)
