"""Hard concrete gates by hand, their chances by counting, and the training without a penalty."""

import itertools
import math

import pytest
import torch
from gated_loss import assert_pretrained, gated_loss
from problems import RECIPE, Normed, TwoConvolutions, problem, space_of
from torch import Tensor

from baselines.l0 import L0, LIMIT, HardConcrete, chances, sampled, start, stretched


def test_gates_by_hand() -> None:
    # The concrete variable has odds (u / (1 - u) * alpha) to the power 3/2.
    log_alpha = torch.tensor([0.0, math.log(4), -math.log(4), math.log(1e4), 0.0])
    uniform = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.8])
    concrete = [1 / 2, 8 / 9, 1 / 9, 1, 8 / 9]
    expected = [min(1.0, max(0.0, 1.2 * value - 0.1)) for value in concrete]
    assert sampled(log_alpha, uniform).tolist() == pytest.approx(expected, abs=1e-5)
    assert float(sampled(torch.tensor(-3.0), torch.tensor(0.5))) == 0  # exactly, not nearly
    assert stretched(torch.tensor([0.05, 0.5, 0.95])).tolist() == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("log_alpha", [-4.0, -1.0, 0.0, 2.0])
def test_chances_are_how_often_a_gate_is_not_zero(log_alpha: float) -> None:
    count = 100_000
    uniform = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    on = float((sampled(torch.full((count,), log_alpha, dtype=torch.float64), uniform) > 0).double().mean())
    assert float(chances(torch.tensor(log_alpha, dtype=torch.float64))) == pytest.approx(on, abs=2 / count)


def test_the_penalty_is_the_expected_complexity() -> None:
    space = space_of(TwoConvolutions, "channel")
    chance = chances(torch.tensor([0.3, -0.8, 1.2, -3.0, -0.4], dtype=torch.float64))
    expected = 0.0
    for on in itertools.product((False, True), repeat=5):
        mask = torch.tensor(on)
        expected += float(chance.where(mask, 1 - chance).prod()) * space.exact_cost(mask)
    assert float(space.cost(chance)) == pytest.approx(expected)


def test_the_initial_law() -> None:
    made = problem("weight")
    found = start(made, 0.2)
    assert float(found.mean()) == pytest.approx(math.log(4), abs=1e-3)
    assert float(found.std()) == pytest.approx(0.01, rel=0.05)


def test_gradient_against_finite_differences() -> None:
    made, loss_at = gated_loss()
    uniform = torch.tensor([0.5, 0.6, 0.4, 0.45, 0.55], dtype=torch.float64)

    def objective(log_alpha: Tensor) -> Tensor:
        return loss_at(sampled(log_alpha, uniform)) + made.space.cost(chances(log_alpha)).log()

    log_alpha = torch.tensor([0.3, -0.5, 0.4, 0.0, -0.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(objective, (log_alpha,))


def test_the_best_of_a_group_is_never_off() -> None:
    space = space_of(TwoConvolutions, "channel")
    units = HardConcrete(space, torch.tensor([-9.0, -8.0, -9.0, -9.0, -8.0]), torch.Generator().manual_seed(0))
    assert units.step(0.5).gates.tolist() == [0, 1, 0, 0, 1] == units.final().gates.tolist()
    assert units.step(0.5).kept[[1, 4]].tolist() == [1, 1]


def test_log_alpha_is_kept_within_its_limit() -> None:
    units = HardConcrete(
        space_of(TwoConvolutions, "channel"), torch.tensor([-99.0, 99, 0, 1, 2]), torch.Generator().manual_seed(0)
    )
    units.settle()
    assert units.scores.tolist() == pytest.approx([-LIMIT, LIMIT, 0, 1, 2])


def test_without_penalty_and_with_open_gates_it_is_pretraining() -> None:
    made = problem("channel", (0.5,), build=Normed)
    # Odds of a million to one: no sample differs from 1.
    pruner = L0(L0.Parameters(dropout=1e-6, travel=0.0, dual_rate=0.0, damping=0.0))
    (sub,) = pruner.search(made)
    assert_pretrained(made, sub.state)
    assert all(point["multiplier"] == 0 for point in made.trace)


def test_dual_ascent_brings_the_expected_complexity_to_the_budget() -> None:
    recipe = RECIPE.model_copy(update={"steps": 100})
    made = problem("channel", (0.6, 0.3), build=TwoConvolutions, recipe=recipe)
    for sub in L0().search(made):
        assert sub.notes["relaxed_complexity"] == pytest.approx(sub.budget, rel=0.15)
