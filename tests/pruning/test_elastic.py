"""Widths and depths as levels: their choices, masks, draws, and the scores that make a projection keep them."""

import math

import pytest
import torch
from problems import Residual, resnet, space_of, vgg

from benchmark.pruning.elastic import SHARES, Choices, prefixes, width_scores


def test_choices_by_hand() -> None:
    space = space_of(Residual, "channel")  # groups of 4 and 2 channels
    assert Choices.of(space).counts == ((1, 2, 3, 4), (1, 2))
    assert Choices.of(space, (0.5, 1.0)).counts == ((2, 4), (1, 2))


def test_a_share_is_exact_where_its_product_rounds_down() -> None:
    space = space_of(vgg, "channel")
    choices = Choices.of(space, (0.7, 1.0))
    for group, counts in zip(space.groups, choices.counts, strict=True):
        assert counts == (max(1, math.floor(7 * group.size / 10)), group.size)


def test_blocks_may_have_any_depth() -> None:
    space = space_of(resnet, "block+channel")
    choices = Choices.of(space)
    assert choices.counts[:3] == ((1, 2, 3),) * 3
    levels = choices.largest()
    levels[1] = 0
    mask = space.unflatten(choices.mask(levels))
    assert mask[space.groups[1].name].tolist() == [True, False, False]
    assert all(bool(part.all()) for name, part in mask.items() if name != space.groups[1].name)


def test_the_largest_is_the_large_model_and_the_smallest_has_one_unit_per_group() -> None:
    for build, granularity in ((vgg, "channel"), (resnet, "block+channel")):
        choices = Choices.of(space_of(build, granularity))
        assert choices.complexity(choices.largest()) == 1.0
        assert choices.kept(choices.smallest()) == [1] * len(choices.counts)


def test_draws_are_spread_over_the_logarithm_of_the_complexity() -> None:
    choices = Choices.of(space_of(vgg, "channel"))
    draw = torch.Generator().manual_seed(0)
    low = math.log(choices.complexity(choices.smallest()))
    places = sorted(math.log(choices.complexity(choices.drawn(draw))) / low for _ in range(200))
    # A uniform draw has a quarter of its points in every quarter of the range; four standard deviations are 0.12.
    for quarter in range(4):
        inside = sum(quarter / 4 <= place < (quarter + 1) / 4 for place in places) / 200
        assert abs(inside - 0.25) < 0.13


@pytest.mark.parametrize("order", [False, True])
def test_width_scores_keep_the_widths_where_they_meet_the_budget(order: bool) -> None:
    space = space_of(vgg, "channel")
    choices = Choices.of(space, SHARES)
    draw = torch.Generator().manual_seed(1)
    by = torch.rand(space.n, generator=draw) if order else None
    for _ in range(5):
        kept = choices.kept(choices.drawn(draw))
        mask = space.project(width_scores(space, kept, by), space.complexity(prefixes(space, kept)))
        parts = space.unflatten(mask)
        assert [int(part.sum()) for part in parts.values()] == kept
        for name, part in parts.items():
            if by is None:
                assert bool(part[: int(part.sum())].all())
            elif not bool(part.all()):
                ranked = by[space.offsets[name]]
                assert float(ranked[part].min()) > float(ranked[~part].max())


def test_width_scores_by_hand() -> None:
    space = space_of(Residual, "channel")
    assert width_scores(space, [2, 1]).tolist() == [2.0, 1.75, 0.5, 0.25, 2.0, 0.5]
    order = torch.tensor([0.0, 3.0, 1.0, 2.0, 0.0, 1.0])
    assert width_scores(space, [2, 1], order).tolist() == [0.25, 2.0, 0.5, 1.75, 0.5, 2.0]
