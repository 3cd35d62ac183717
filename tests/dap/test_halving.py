"""Successive halving: which networks go on, for how long they train, and what that costs."""

from dataclasses import replace

import pytest
import torch
from problems import problem, resnet
from torch import Tensor

from benchmark.dap import halving as module
from benchmark.dap.depth import depths
from benchmark.dap.halving import SHORTEST, halved
from benchmark.pruning.problem import Problem
from benchmark.training.loop import training_flops


def on_blocks(*budgets: float) -> Problem:
    return problem("block+channel", budgets or (0.5, 0.2, 0.05), build=resnet)


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
