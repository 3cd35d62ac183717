"""The rule `flat` by hand, at both costs."""

import pytest
import torch
from problems import TwoConvolutions, problem, resnet, vgg

from baselines.flat import Flat
from benchmark.pruning.problem import Problem
from benchmark.space import build_space


def widths(made: Problem, mask: torch.Tensor) -> list[int]:
    return [int(part.sum()) for part in mask.split(made.space.sizes)]


@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize("build", [vgg, resnet])
def test_widths_differ_by_one_at_most_below_their_caps(build, cost) -> None:
    made = problem("channel", budgets=(0.5, 0.2, 0.05), build=build)
    made.space = build_space(build(), torch.zeros(1, 1, 8, 8), "channel", cost)
    for sub in Flat().search(made):
        kept = widths(made, sub.mask)
        free = [width for width, size in zip(kept, made.space.sizes, strict=True) if width < size]
        assert max(free) - min(free) <= 1 and max(kept) == max(free + [w for w in kept if w <= max(free)])
        # A full group is smaller than what the others keep.
        assert all(size <= max(free) for w, size in zip(kept, made.space.sizes, strict=True) if w == size)
        assert made.space.complexity(sub.mask) <= sub.budget


def test_by_hand_on_two_convolutions() -> None:
    """Groups of 2 and 3 channels: 2 * 10 parameters, 2 * 3 * 9, and 3 * 3 + 3 of the head, 86 in all."""
    made = problem("channel", budgets=(0.9, 0.45), build=TwoConvolutions)
    found = [widths(made, sub.mask) for sub in Flat().search(made)]
    # (2, 3) costs 86. (2, 2): 20 + 36 + 9 = 65, 76 %. (1, 1): 10 + 9 + 6 = 25; (2, 1): 20 + 18 + 6 = 44, 51 %.
    assert found == [[2, 2], [1, 1]]


def test_the_last_half_comes_first() -> None:
    made = problem("channel", budgets=(0.9, 0.45), build=TwoConvolutions)
    found = [widths(made, sub.mask) for sub in Flat(Flat.Parameters(last_half=True)).search(made)]
    # Two of the last three channels are kept before anything is shared: (1, 2) costs 10 + 18 + 9 = 37, 43 %.
    assert found == [[2, 2], [1, 2]]
