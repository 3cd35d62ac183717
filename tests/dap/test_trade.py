"""Widths traded at equal cost: one step by hand, the budget at every step, and no signal."""

import math
from dataclasses import replace

import pytest
import torch
from problems import RECIPE, TwoConvolutions, problem, space_of, vgg
from torch import Tensor
from torch.nn import functional as F

from benchmark.dap import trade as module
from benchmark.dap.cost_weight import falling_budget
from benchmark.dap.laws import Gates, InitialLaw, RestartLaw
from benchmark.dap.search import Settings
from benchmark.dap.trade import at_equal_cost, on_budget, trade
from benchmark.dap.units import filled, ladder

SETTINGS = Settings(steps=1, tau_low=0.0, tau_high=2.0, anneal_from=None, lr=0.3, hold=0.1, tied=True, spread=0.0)


def test_the_part_at_equal_cost_by_hand() -> None:
    """The loss falls with both widths; per unit of cost with the first one more."""
    price, direction = at_equal_cost(torch.tensor([-3.0, -1.0]), torch.tensor([1.0, 2.0]))
    assert price == 1.0  # (3 + 2) / 5
    assert direction.tolist() == [-2.0, 1.0]
    assert float(direction @ torch.tensor([1.0, 2.0])) == 0


def test_a_gradient_along_the_cost_moves_nothing() -> None:
    _, direction = at_equal_cost(torch.tensor([-2.0, -4.0]), torch.tensor([1.0, 2.0]))
    assert direction.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.1, 0.03])
def test_the_shift_uses_the_budget_up(budget: float) -> None:
    space = space_of(vgg, "channel")
    logits = ladder(space) + torch.randn(space.n, generator=torch.Generator().manual_seed(0)).cumsum(0) / 30
    shifted = on_budget(space, logits, budget)
    assert space.complexity((shifted > 0).float()) <= budget
    a_little_more = filled(space, shifted + 1e-4)
    # The next unit would be too much: a shift by a hair takes it in.
    above = shifted[shifted <= 0]
    more = filled(space, shifted - above.max() + 1e-6) if len(above) else a_little_more
    assert space.complexity((more > 0).float()) > budget


def test_a_budget_below_the_least_network_leaves_that() -> None:
    space = space_of(vgg, "channel")
    assert int((on_budget(space, ladder(space), 1e-9) > 0).sum()) == len(space.groups)


def test_one_step_by_hand() -> None:
    made = problem("channel", (1.0,), build=TwoConvolutions)
    found = trade(made, InitialLaw(made), SETTINGS)
    # At the whole budget all units are on, so the network is the large model with the weights of draw 0.
    state = made.draw(0)
    ((images, labels),) = made.batches(made.validation, made.recipe.model_copy(update={"steps": 1}), "scores")
    a = torch.ones(5, requires_grad=True)
    maps = torch.tanh(F.conv2d(images, state["first.weight"], state["first.bias"], padding=1))
    maps = torch.tanh(F.conv2d(maps * a[:2].view(1, -1, 1, 1), state["second.weight"], padding=1))
    logits = F.linear((maps * a[2:].view(1, -1, 1, 1)).mean((2, 3)), state["head.weight"], state["head.bias"])
    (by_loss,) = torch.autograd.grad(F.cross_entropy(logits, labels), a)
    k1, k2 = a[:2].sum(), a[2:].sum()
    (by_cost,) = torch.autograd.grad((10 * k1 + 9 * k1 * k2 + 3 * k2 + 3).log(), a)
    raised = on_budget(made.space, ladder(made.space), 1.0)
    share = torch.sigmoid(raised / 2)
    through = share * (1 - share) / 2
    loss, cost = (torch.stack([part.sum() for part in (through * one).split([2, 3])]) for one in (by_loss, by_cost))
    left = loss - (loss @ cost) / (cost @ cost) * cost
    torch.testing.assert_close(found.moves, -0.3 * left / left.square().mean().sqrt())
    (point,) = made.trace
    assert point["complexity"] == 1.0
    assert point["multiplier"] == pytest.approx(float(-(loss @ cost) / (cost @ cost)))


def test_the_relaxed_network_is_on_the_falling_budget_at_every_step() -> None:
    made = problem("channel", (0.2,))
    trade(made, InitialLaw(made), replace(SETTINGS, steps=10, lr=0.1))
    for point in made.trace:
        allowed = falling_budget(int(point["step"]), 10, 0.2, 0.1)
        assert 0.5 * allowed < point["complexity"] <= allowed


def test_without_a_signal_widths_stay_equal_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    made = problem("channel", (0.2,))
    given = module.gradients

    def blind(*asked: object) -> tuple[float, Tensor, Tensor]:
        loss, towards_loss, towards_cost = given(*asked)  # type: ignore[arg-type]
        return loss, torch.zeros_like(towards_loss), towards_cost

    monkeypatch.setattr(module, "gradients", blind)
    found = trade(made, InitialLaw(made), replace(SETTINGS, steps=5))
    assert not found.moves.any()


def test_widths_travel_no_further_than_their_steps_allow() -> None:
    made = problem("channel", (0.2,))
    found = trade(made, InitialLaw(made), replace(SETTINGS, steps=8, lr=1.0 / 8))
    # A step of unit size on average; one of them may be as long as the root of their number.
    assert 0 < float(found.moves.abs().max()) < 2 * math.sqrt(len(found.moves))


def test_weights_are_trained_as_those_of_architectures_around() -> None:
    made = problem("channel", (0.3,))
    seen: list[Tensor] = []

    class Spied(RestartLaw):
        def sample(self, step: int, gates: Gates) -> dict[str, Tensor]:
            seen.append(gates())
            return super().sample(step, gates)

    trade(made, Spied(made, 4, 1, 1), replace(SETTINGS, steps=4, spread=1.0))
    assert len({tuple(gates.tolist()) for gates in seen}) == 4
    assert all(set(gates.tolist()) <= {0.0, 1.0} for gates in seen)


def test_the_trade_uses_the_recipes_batches() -> None:
    made = problem("channel", (0.5,), recipe=RECIPE.model_copy(update={"batch": 7}))
    trade(made, InitialLaw(made), replace(SETTINGS, steps=5))
    # And one look at the relaxed and one at the discrete network, on all held-out images.
    assert made.flops == 6 * made.dense_macs * 5 * 7 + 2 * 2 * made.dense_macs * len(made.validation)
