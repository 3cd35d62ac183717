"""The layer-adaptive score by hand."""

from typing import Any

import torch
from given_scores import given_scores
from problems import Residual, TwoConvolutions, problem
from torch import Tensor

from baselines.lamp import LAMP
from benchmark.pruning.importance import ranks
from benchmark.pruning.liveness import live
from benchmark.pruning.problem import Problem


def scores(made: Problem, **parameters: Any) -> Tensor:
    return given_scores(LAMP(LAMP.Parameters(**parameters)), made)


def test_weights_by_hand() -> None:
    state = {name: torch.zeros_like(tensor) for name, tensor in TwoConvolutions().state_dict().items()}
    state["head.weight"].view(-1)[:4] = torch.tensor([-2.0, 1.0, 3.0, -1.0])
    state["first.weight"].view(-1)[:2] = torch.tensor([100.0, 10.0])
    made = problem("weight", (0.5,), build=TwoConvolutions, load_pretrained=lambda: (state, 1))
    found = made.space.unflatten(scores(made))
    # Squares 4, 1, 9, 1; of equal ones the first counts as the larger.
    expected = torch.tensor([4 / 13, 1 / 14, 1, 1 / 15], dtype=torch.float64)
    torch.testing.assert_close(found["head.weight"][:4], expected)
    torch.testing.assert_close(found["first.weight"][:2], torch.tensor([1, 100 / 10100], dtype=torch.float64))
    assert not bool(found["head.weight"][4:].any()) and not bool(found["second.weight"].any())


def test_channels_by_hand() -> None:
    state = {name: torch.zeros_like(tensor) for name, tensor in Residual().state_dict().items()}
    # Filters of 9 entries beside 2 that lead to the same sum: squared norms 9 + 2, 36, 0, 9.
    state["stem.weight"] += torch.tensor([1.0, -2, 0, 1]).view(-1, 1, 1, 1)
    state["outer.weight"] += torch.tensor([1.0, 0, 0, 0]).view(-1, 1, 1, 1)
    state["inner.weight"] += torch.tensor([1.0, 2]).view(-1, 1, 1, 1)
    made = problem("channel", (0.5,), build=Residual, load_pretrained=lambda: (state, 1))
    expected = torch.tensor([11 / 47, 1, 0, 9 / 56, 1 / 5, 1], dtype=torch.float64)
    torch.testing.assert_close(scores(made), expected)


def test_within_a_layer_it_ranks_by_magnitude() -> None:
    made = problem("weight", (0.5,))
    found = scores(made)
    squares = made.space.flatten({g.name: made.pretrained()[g.name].double().square() for g in made.space.groups})
    assert torch.equal(ranks(made.space, found), ranks(made.space, squares))
    assert all(float(part.max()) == 1 for part in found.split(made.space.sizes))


def test_among_live_weights_the_others_count_for_nothing() -> None:
    made = problem("weight", (0.1,))
    found, alive = scores(made, among="live"), live(made)
    assert bool((found[~alive] == -1).all()) and bool((found[alive] >= 0).all())
    # The smallest live weight of a layer has the sum of the live ones below it.
    state = made.pretrained()
    for group in made.space.groups:
        part = made.space.offsets[group.name]
        squares = state[group.name].double().flatten().square()[alive[part]]
        torch.testing.assert_close(found[part][alive[part]].min(), squares.min() / squares.sum())
