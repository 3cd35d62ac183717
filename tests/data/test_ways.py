"""Target tasks of few ways, and test parts of few images per class."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.splits import assert_disjoint, draw_ways, split_target
from benchmark.data.transforms import first_equal, image_hashes
from benchmark.errors import BenchError

seeds = st.integers(0, 2**31 - 1)
# Alphabets of one to six characters, in any order.
names = st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 6)), min_size=2, max_size=24, unique=True)


@given(classes=names, ways=st.integers(2, 5), seed=seeds, draw=st.integers(0, 20))
def test_the_classes_of_a_draw_are_distinct_and_of_one_group(
    classes: list[tuple[str, int]], ways: int, seed: int, draw: int
) -> None:
    named = [f"{alphabet}/character{number}" for alphabet, number in classes]
    sizes = {alphabet: sum(one == alphabet for one, _ in classes) for alphabet, _ in classes}
    if max(sizes.values()) < ways:
        with pytest.raises(BenchError, match=rf"ways: {ways} classes, but no group of classes has more than"):
            draw_ways(named, ways, seed, draw)
        return
    chosen = draw_ways(named, ways, seed, draw)
    assert len(chosen) == len(set(chosen)) == ways
    assert all(0 <= label < len(named) for label in chosen)
    assert len({classes[label][0] for label in chosen}) == 1
    assert chosen == draw_ways(named, ways, seed, draw)


@given(count=st.integers(2, 12), seed=seeds)
def test_names_without_a_slash_are_one_group(count: int, seed: int) -> None:
    classes = [str(number) for number in range(count)]
    assert sorted(draw_ways(classes, count, seed, 0)) == list(range(count))
    with pytest.raises(
        BenchError, match=rf"^data\.targets: ways: {count + 1} classes, .* more than {count}; lower ways"
    ):
        draw_ways(classes, count + 1, seed, 0)


def test_every_group_with_enough_classes_and_every_class_has_its_turn() -> None:
    classes = ["A/1", "A/2", "A/3", "B/1", "C/1", "C/2", "D/x/1", "D/x/2", "D/y/1"]
    drawn = [draw_ways(classes, 2, 0, draw) for draw in range(600)]
    groups = {"A": {0, 1, 2}, "C": {4, 5}, "D/x": {6, 7}}
    counts = {name: sum(set(labels) <= members for labels in drawn) for name, members in groups.items()}
    # Each of the three is drawn 200 times of 600: within five standard deviations of 11.5, however many classes it has.
    assert sum(counts.values()) == 600 and all(142 < count < 258 for count in counts.values())
    # All six ordered pairs of A's three characters.
    assert len({tuple(labels) for labels in drawn if labels[0] < 3}) == 6
    assert [draw_ways(classes, 2, 1, draw) for draw in range(600)] != drawn


@given(
    counts=st.lists(st.integers(4, 30), min_size=2, max_size=5),
    pool=st.integers(1, 3),
    most=st.integers(1, 40),
    seed=seeds,
)
def test_a_capped_test_part_has_exact_sizes_and_is_a_part_of_the_whole(
    counts: list[int], pool: int, most: int, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    whole, capped = split_target(labels, pool, seed), split_target(labels, pool, seed, None, most)
    assert torch.equal(whole.pool, capped.pool)
    assert labels[capped.test].bincount().tolist() == [min(most, count - pool) for count in counts]
    assert capped.test.tolist() == sorted(set(capped.test.tolist())) and capped.test.dtype == torch.int64
    assert set(capped.test.tolist()) <= set(whole.test.tolist())
    assert not set(capped.test.tolist()) & set(capped.pool.tolist())
    assert torch.equal(split_target(labels, pool, seed, None, most).test, capped.test)


def test_which_images_are_left_out_is_the_seed_s_choice() -> None:
    labels = torch.arange(200) % 2
    tests = [split_target(labels, 5, seed, None, 10).test.tolist() for seed in (0, 1)]
    assert tests[0] != tests[1]
    # Not the first ones of each class.
    assert max(tests[0]) > 100


@given(copies=st.lists(st.integers(0, 39), max_size=12), seed=seeds)
def test_a_capped_test_part_shares_no_image_with_the_pool(copies: list[int], seed: int) -> None:
    images = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1)
    images = torch.cat([images, images[copies]])
    labels = torch.arange(len(images)) % 2
    groups = torch.from_numpy(first_equal(image_hashes(images.numpy())))
    split = split_target(labels, 5, seed, groups, 6)
    assert_disjoint(images, split.pool, split.test)
    assert max(labels[split.test].bincount().tolist()) <= 6
