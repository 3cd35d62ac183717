"""Masks, rounds and rewinding by hand, and the training whose scores stand still."""

import math

import pytest
import torch
from gated_loss import assert_pretrained, gated_loss
from problems import RECIPE, Normed, TwoConvolutions, problem, space_of
from torch import Tensor

from baselines.continuous_sparsification import ContinuousSparsification, SigmoidMasks, rearmed, targets


def pruner(**values: float) -> ContinuousSparsification:
    return ContinuousSparsification(ContinuousSparsification.Parameters(**values))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_masks_by_hand() -> None:
    units = SigmoidMasks(space_of(TwoConvolutions, "channel"), torch.tensor([0.5, -0.5, 1.0, 0.0, -2.0]), 0.1, 16.0)
    # Halfway beta is the root of 16, in the end all of it.
    for share, beta in ((0.5, 4), (1.0, 16)):
        found = units.step(share)
        expected = [sigmoid(beta * s) for s in (0.5, -0.5, 1.0, 0.0, -2.0)]
        assert found.kept.tolist() == pytest.approx(expected)
        assert found.gates.tolist() == pytest.approx([value / sigmoid(0.1) for value in expected])
    assert torch.equal(units.final().gates, found.gates)


def test_the_best_of_a_group_is_at_least_undecided() -> None:
    units = SigmoidMasks(space_of(TwoConvolutions, "channel"), torch.tensor([-1.0, -0.5, -1.0, -2.0, -2.0]), 0.0, 100.0)
    assert units.final().kept.tolist() == pytest.approx([0, 0.5, 0.5, 0, 0])


def test_rounds_by_hand() -> None:
    assert targets((0.5, 0.1), 0.75) == [0.5, 0.125, 0.1]
    assert targets((0.05,), 0.75) == [0.25, 0.0625, 0.05]
    assert targets((0.3, 0.2), 0.9) == [0.3, 0.2]
    assert targets((1.0, 0.5), 0.5) == [1.0, 0.5]


def test_scores_between_rounds_by_hand() -> None:
    # What was on starts anew, what was off is far below.
    assert rearmed(torch.tensor([0.4, 0.001, -0.01]), 100, 0.05).tolist() == pytest.approx([0.05, 0.05, -1])
    assert rearmed(torch.tensor([0.4, 0.0001, -0.01]), 100, 0.05).tolist() == pytest.approx([0.05, 0.01, -1])


def test_gradient_against_finite_differences() -> None:
    made, loss_at = gated_loss()

    def objective(scores: Tensor) -> Tensor:
        units = SigmoidMasks(made.space, scores, 0.0, 9.0)
        found = units.step(0.5)
        return loss_at(found.gates) + made.space.cost(found.kept).log()

    scores = torch.tensor([0.3, -0.5, 0.4, 0.1, -0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(objective, (scores,))


def test_scores_that_stand_still_are_pretraining() -> None:
    made = problem("channel", (0.5,), build=Normed)
    (sub,) = pruner(travel=0.0, spread=0.0).search(made)
    assert_pretrained(made, sub.state)


def test_later_rounds_start_from_the_rewound_weights() -> None:
    made, plain = problem("channel", (0.5, 0.4), build=Normed), problem("channel", build=Normed)
    found = pruner(travel=0.0, spread=0.0, rewind=0.5).search(made)
    everything = torch.ones(plain.space.n, dtype=torch.bool)
    rewound = plain.retrain(everything, plain.initial(), stop=2)
    expected = plain.retrain(everything, rewound)
    assert found[1].state is not None
    for name, _ in made.network.named_parameters():
        torch.testing.assert_close(found[1].state[name], expected[name], rtol=1e-4, atol=1e-6)


def test_a_round_ends_with_hard_masks_near_its_budget() -> None:
    made = problem("channel", (0.5, 0.3), build=TwoConvolutions, recipe=RECIPE.model_copy(update={"steps": 60}))
    for sub in pruner().search(made):
        # One channel more or less of this network is a sixth of its parameters.
        assert sub.notes["relaxed_complexity"] == pytest.approx(sub.budget, abs=1 / 6)
    ends = [point["undecided"] for point in made.trace if point["step"] == 59]
    assert len(ends) == 2 and max(ends) <= 0.4
