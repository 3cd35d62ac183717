"""The rule `shallow` by hand, at both costs, and `flat` as its limit."""

import pytest
import torch
from problems import problem, resnet, space_of
from shallow import network, space

from baselines.flat import Flat
from baselines.shallow import Shallow
from benchmark.config.params import parse
from benchmark.errors import BenchError
from benchmark.pruning.problem import Problem, SubNetwork


def on_bottlenecks(cost: str, *budgets: float) -> Problem:
    """A stem of 4 channels and two blocks of 2 inner ones, on images of 4x4 pixels.

    Parameters: stem 36, each block 72 + 12, head 8, 212 in all. MACs: 16 * 36, 16 * (72 + 8) twice, 8, 3144 in all.
    """
    made = problem("channel", budgets, build=lambda: network("TwoBottlenecks"))
    made.space = space("TwoBottlenecks", "block+channel", cost)
    return made


def kept(made: Problem, found: list[SubNetwork]) -> list[list[int]]:
    """The blocks and then the widths of stem, first and second inner layer."""
    return [[int(part.sum()) for part in sub.mask.split(made.space.sizes)] for sub in found]


# Parameters and MACs of the widths (w, 2, 2): the stem's 9 w or 144 w, a block's 21 w or 320 w, the head's 2 w.
@pytest.mark.parametrize(("cost", "one", "two"), [("params", 64 / 212, 106 / 212), ("macs", 932 / 3144, 1572 / 3144)])
def test_depth_falls_with_width_by_hand(cost: str, one: float, two: float) -> None:
    # At half of the widest layer, 2 of 4 channels, half of the stage is kept: the second block comes next.
    # The second inner layer costs nothing without its block; the first is the one that no longer fits.
    made = on_bottlenecks(cost, two, two - 1e-3, one, one - 1e-3)
    assert kept(made, Shallow().search(made)) == [[2, 2, 2, 2], [1, 2, 2, 2], [1, 2, 2, 2], [1, 2, 1, 1]]


@pytest.mark.parametrize(
    ("cost", "full", "three"), [("params", 128 / 212, 96 / 212), ("macs", 1864 / 3144, 1398 / 3144)]
)
def test_a_fixed_number_of_blocks_by_hand(cost: str, full: float, three: float) -> None:
    made = on_bottlenecks(cost, 0.999, full, full - 1e-3, three)
    found = Shallow(Shallow.Parameters(blocks=1)).search(made)
    # What is left over once every channel is kept cannot buy the second block whole.
    assert kept(made, found) == [[1, 4, 2, 2], [1, 4, 2, 2], [1, 3, 2, 2], [1, 3, 2, 2]]
    # Left out is the block at the output.
    assert found[0].mask[:2].tolist() == [True, False]


@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize("last_half", [False, True])
def test_with_all_blocks_it_is_flat(cost: str, last_half: bool) -> None:
    made = problem("block+channel", build=resnet, budgets=(0.5, 0.2, 0.05))
    made.space = space_of(resnet, "block+channel", cost)
    ours = Shallow(Shallow.Parameters(blocks=3, last_half=last_half)).search(made)
    flat = Flat(Flat.Parameters(last_half=last_half)).search(made)
    assert all(torch.equal(one.mask, other.mask) for one, other in zip(ours, flat, strict=True))
    assert all(bool(sub.mask[:9].all()) for sub in flat)


def test_a_larger_exponent_loses_blocks_earlier() -> None:
    made = problem("block+channel", build=resnet, budgets=(0.3,))
    blocks = [
        int(Shallow(Shallow.Parameters(exponent=exponent)).search(made)[0].mask[:9].sum())
        for exponent in (0.2, 1.0, 4.0)
    ]
    assert blocks == sorted(blocks, reverse=True) and blocks[0] > blocks[-1]


def test_of_blocks_alone_the_latest_of_every_stage_go_first() -> None:
    made = problem("block", build=resnet, budgets=(0.75, 0.45))
    for sub in Shallow().search(made):
        stages = [part.tolist() for part in sub.mask.split(made.space.sizes)]
        assert all(stage == sorted(stage, reverse=True) for stage in stages)
        depths = [sum(stage) for stage in stages]
        assert depths == sorted(depths, reverse=True) and max(depths) - min(depths) <= 1


def test_uniform_widths_by_hand() -> None:
    """One block, widths (w, i) of stem and inner layer: 32 w parameters at i = 2, 22 w at i = 1."""
    made = on_bottlenecks("params", *(cost / 212 for cost in (128, 127, 95, 65, 43)))
    found = Shallow(Shallow.Parameters(blocks=1, widths="uniform")).search(made)
    assert [widths[1:3] for widths in kept(made, found)] == [[4, 2], [3, 2], [3, 1], [2, 1], [1, 1]]


def test_two_rules_for_widths_are_one_too_many() -> None:
    with pytest.raises(BenchError, match="last_half is a rule for widths: equal"):
        parse(Shallow.Parameters, {"last_half": True, "widths": "uniform"}, "here")
