"""The depth that DAP starts from: which depths are tried, which is taken, and what that costs."""

import math
from dataclasses import replace

import pytest
import torch
from problems import problem, resnet, space_of, vgg
from torch import Tensor

from benchmark.dap import depth as module
from benchmark.dap import pruner
from benchmark.dap.depth import SHORTEST, depths, halved, starting_blocks
from benchmark.dap.units import Units, ladder
from benchmark.pruning.problem import Problem
from benchmark.space import SearchSpace
from benchmark.training.loop import training_flops


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


def test_the_better_half_is_trained_longer_and_every_round_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_blocks()
    made = replace(made, recipe=made.recipe.model_copy(update={"steps": 1000}))
    masks = depths(made.space, 0.3)
    asked: list[tuple[int, int, int]] = []

    def accuracy(trial: Problem, mask: Tensor, number: int) -> float:
        asked.append((number, trial.recipe.steps, int(mask[:9].sum())))
        return -abs(int(mask[:9].sum()) - 5)  # five blocks are best, four and six next

    monkeypatch.setattr(module, "_accuracy", accuracy)
    best = halved(made, masks, spend=0.9)
    assert int(best[:9].sum()) == 5
    counts = [[one for one in asked if one[0] == number] for number in range(3)]
    assert [len(of_round) for of_round in counts] == [7, 4, 2] and len(asked) == 13
    # Of equals the first, which is the deeper one.
    assert {blocks for _, _, blocks in counts[1]} == {5, 6, 4, 7} and {blocks for _, _, blocks in counts[2]} == {5, 6}
    macs = {int(mask[:9].sum()): made.space.macs(mask) / made.dense_macs for mask in masks}
    for of_round in counts:
        (steps,) = {steps for _, steps, _ in of_round}
        assert steps == min(1000, round(1000 * 0.9 / 3 / sum(macs[blocks] for _, _, blocks in of_round)))


def test_a_training_is_never_shorter_than_the_shortest_nor_longer_than_the_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = on_blocks()
    made = replace(made, recipe=made.recipe.model_copy(update={"steps": 1000}))
    for spend, expected in ((1e-9, round(1000 * SHORTEST)), (1e9, 1000)):
        steps: set[int] = set()
        monkeypatch.setattr(module, "_accuracy", lambda trial, *_, steps=steps: steps.add(trial.recipe.steps) or 0.0)
        halved(made, depths(made.space, 0.3), spend)
        assert steps == {expected}


def test_a_single_depth_is_not_trained() -> None:
    made = on_blocks()
    (mask,) = depths(made.space, 0.3)[:1]
    assert torch.equal(halved(made, [mask], 1.0), mask) and made.flops == 0


def test_the_trainings_are_charged() -> None:
    made = on_blocks(0.3)
    masks = depths(made.space, 0.3)[-2:]
    halved(made, masks, spend=1.0)
    (steps,) = {max(1, round(made.recipe.steps * min(1.0, made.dense_macs / sum(map(made.space.macs, masks)))))}
    trained = sum(training_flops(made.space.macs(mask), steps * made.recipe.batch) for mask in masks)
    judged = sum(2 * made.space.macs(mask) * len(made.validation) for mask in masks)
    assert made.flops == trained + judged


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
