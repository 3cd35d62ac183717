"""Orders of units by rule, by hand."""

import pytest
import torch
from problems import TwoConvolutions, resnet, space_of, vgg

from benchmark.pruning.rules import block_groups, equal_widths


@pytest.mark.parametrize(("granularity", "groups"), [("channel", 0), ("block", 3), ("block+channel", 3)])
def test_groups_of_blocks_come_first(granularity: str, groups: int) -> None:
    space = space_of(resnet, granularity)
    assert block_groups(space) == groups
    assert all(group.name in space_of(resnet, "block").offsets for group in space.groups[:groups])


def test_places_by_hand() -> None:
    space = space_of(TwoConvolutions, "channel")
    first, second = equal_widths(space, last_half=False)
    assert first.tolist() == [0, 1] and second.tolist() == [0.25, 1.25, 2.25]
    first, second = equal_widths(space, last_half=True)
    assert first.tolist() == [0, 1] and second.tolist() == [-0.75, -0.75, 2.25]


def test_half_of_the_last_group_comes_before_everything() -> None:
    space = space_of(vgg, "channel")
    places = equal_widths(space, last_half=True)
    half = space.sizes[-1] // 2
    assert float(places[-1][:half].max()) < min(float(place.min()) for place in places[:-1])
    assert torch.equal(torch.cat([*places[:-1], places[-1][half:]]).argsort()[:1], torch.tensor([0]))
