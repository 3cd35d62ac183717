"""The surroundings of a budget: what is cut out of the large model, and the way back to its masks."""

from collections.abc import Callable

import pytest
import torch
from problems import TwoConvolutions, problem, resnet, vgg
from torch import nn

from benchmark.dap.depth import depths
from benchmark.dap.near import Nearby
from benchmark.dap.units import ladder


def test_the_start_by_hand() -> None:
    """Two and three channels: 10 parameters per first channel, 9 per pair, 3 per second channel and 3 more."""
    made = problem("channel", (0.2,), build=TwoConvolutions)
    assert made.space.total == 10 * 2 + 9 * 6 + 3 * 3 + 3
    # Equal shares of both widths within 60 %, 51 of 86: one and two cost 37, two and two 65.
    nearby = Nearby(made, 0.2, None, 3.0)
    assert nearby.start.tolist() == [True, False, True, True, False]
    assert nearby.problem.space.total == 10 + 9 * 2 + 3 * 2 + 3
    assert nearby.problem.budgets == (pytest.approx(0.2 * 86 / 37),)
    assert not nearby.fits


@pytest.mark.parametrize("build", [vgg, resnet])
def test_no_way_at_all_is_equal_shares(build: Callable[[], nn.Module]) -> None:
    made = problem("channel", (0.1,), build=build)
    nearby = Nearby(made, 0.1, None, 3.0)
    moves = torch.randn(len(nearby.problem.space.groups))
    assert torch.equal(nearby.mask(moves, 0.0), made.space.project(ladder(made.space), 0.1))


@pytest.mark.parametrize("build", [vgg, resnet])
@pytest.mark.parametrize("granularity", ["channel", "block+channel"])
def test_widths_go_the_way_at_an_equal_budget(granularity: str, build: Callable[[], nn.Module]) -> None:
    made = problem(granularity, (0.1,), build=build)
    space = made.space
    on = torch.arange(len(space.blocks)) % 2 == 0
    nearby = Nearby(made, 0.1, on if len(on) else None, 3.0)
    names = list(nearby.problem.space.offsets)
    widest = max(
        names, key=lambda name: nearby.problem.space.offsets[name].stop - nearby.problem.space.offsets[name].start
    )
    moves = torch.tensor([1.0 if name == widest else 0.0 for name in names])
    kept = [int(nearby.mask(moves, length)[space.offsets[widest]].sum()) for length in (0.0, 0.5, 1.0)]
    assert kept[0] < kept[1] < kept[2]
    for length in (0.0, 0.5, 1.0):
        mask = nearby.mask(moves, length)
        assert 0.05 < space.complexity(mask) <= 0.1
        assert torch.equal(mask[: len(on)], on)


@pytest.mark.parametrize("build", [vgg, resnet])
def test_every_group_nearby_is_one_of_the_large_model(build: Callable[[], nn.Module]) -> None:
    made = problem("block+channel", (0.1,), build=build)
    for depth in depths(made.space, 0.1):
        nearby = Nearby(made, 0.1, depth[: len(made.space.blocks)], 3.0)
        assert set(nearby.problem.space.offsets) <= set(made.space.offsets)
        for name, part in nearby.problem.space.offsets.items():
            assert part.stop - part.start == int(nearby.start[made.space.offsets[name]].sum())


def test_the_start_is_never_wider_than_all() -> None:
    made = problem("block+channel", (0.5,), build=resnet)
    on = torch.tensor([True, False, False] * 3)
    nearby = Nearby(made, 0.5, on, 3.0)
    assert nearby.start.tolist() == [*on.tolist(), *[True] * (made.space.n - 9)]
    assert nearby.fits == (made.space.complexity(nearby.start) <= 0.5)


def test_compute_and_trace_are_handed_over() -> None:
    made = problem("channel", (0.2,), build=TwoConvolutions)
    made.trace.append({"step": 0, "loss": 1.0})
    made.flops = 5
    nearby = Nearby(made, 0.2, None, 3.0)
    nearby.problem.charge(7, 1)
    nearby.problem.trace += [{"step": 0, "loss": 2.0}, {"step": 1, "loss": 3.0}]
    nearby.hand_over()
    assert made.flops == 5 + 6 * 7
    assert made.trace == [{"step": step, "loss": step + 1.0} for step in range(3)]
