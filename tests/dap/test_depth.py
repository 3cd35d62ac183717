"""The depth that DAP starts from: which depths are tried, which is taken, and what that costs."""

import math

import pytest
import torch
from problems import problem, resnet, space_of, vgg
from torch import Tensor

from benchmark.dap import depth as module
from benchmark.dap import pruner
from benchmark.dap.depth import depths, starting_blocks
from benchmark.dap.units import Units, ladder
from benchmark.pruning.problem import Problem
from benchmark.space import SearchSpace


def on_blocks(*budgets: float) -> Problem:
    return problem("block+channel", budgets or (0.5, 0.2, 0.05), build=resnet)


def test_depths_leave_out_the_same_share_of_every_stage_from_the_output_side() -> None:
    """Three stages of three blocks: the last of each go first, of equal shares that of the later stage."""
    space = space_of(resnet, "block+channel")
    found = [mask[:9].long().tolist() for mask in depths(space, 0.3)]
    assert found[0] == [1] * 9
    assert found[1:4] == [[1] * 8 + [0], [1] * 5 + [0, 1, 1, 0], [1, 1, 0] * 3]
    # Every stage keeps one.
    assert found[-1] == [1, 0, 0] * 3
    assert len(found) == 7


def test_every_depth_meets_the_budget_at_equal_shares() -> None:
    space = space_of(resnet, "block+channel")
    for mask in depths(space, 0.3):
        assert 0.2 < space.complexity(mask) <= 0.3
        ranked = ladder(space)
        for part in list(space.offsets.values())[3:]:
            kept = mask[part]
            # Channels of a layer are taken in the order of the ladder, and about the same share of each.
            assert bool(kept[: int(kept.sum())].all()) and bool((ranked[part].diff() < 0).all())


def test_depth_is_tried_at_the_middle_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    for budgets, middle in (((0.5, 0.2, 0.05), 0.2), ((0.5, 0.2), 0.5), ((0.3,), 0.3)):
        made, asked = on_blocks(*budgets), []
        monkeypatch.setattr(module, "depths", lambda space, budget, asked=asked: asked.append(budget) or [whole(space)])
        assert starting_blocks(made, 1.0).tolist() == [True] * 9
        assert asked == [middle]


def whole(space: SearchSpace) -> Tensor:
    return torch.ones(space.n, dtype=torch.bool)


def test_blocks_that_are_off_start_as_far_below_zero_as_the_others_above() -> None:
    space = space_of(resnet, "block+channel")
    on = torch.tensor([True, False, False] * 3)
    start, all_on = Units.of(space, True, "cpu", on).start, Units.of(space, True, "cpu").start
    assert start[:9].tolist() == pytest.approx([math.log(2), -math.log(2), -math.log(2)] * 3)
    assert torch.equal(start[9:], all_on[9:])
    assert Units.of(space, False, "cpu", on).start[:3].tolist() == [1.0, -1.0, -1.0]


def test_only_spaces_with_blocks_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        pruner, "starting_blocks", lambda made, spend: asked.append(spend) or torch.ones(9, dtype=torch.bool)
    )
    short = {"steps": 2, "warmup": 0}
    pruner.DAP(pruner.DAP.Parameters(**short)).search(problem("channel", (0.5,), build=vgg))
    pruner.DAP(pruner.DAP.Parameters(**short, trials=0.0)).search(on_blocks(0.5))
    assert asked == []
    pruner.DAP(pruner.DAP.Parameters(**short, trials=0.7)).search(on_blocks(0.5))
    assert asked == [0.7]
