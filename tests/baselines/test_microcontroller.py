"""Gates and hinges by hand, the relaxation's derivative, and the training at full width."""

import pytest
import torch
from gated_loss import assert_pretrained, gated_loss
from problems import RECIPE, Normed, Residual, TwoConvolutions, problem, space_of
from torch import Tensor

from baselines.microcontroller import Hinges, Microcontroller, SoftRanks, bounds, others
from benchmark.space import SearchSpace


def soft(space: SearchSpace, shares: list[float], refreshes: int = 1) -> SoftRanks:
    return SoftRanks(space, torch.tensor(shares, dtype=torch.float64).logit(), (2.0, 0.2), 0.9, refreshes)


def test_gates_by_hand() -> None:
    # Three units, half of them: thresholds at 1.5 + 1/2, so ranks 1, 2, 3 lie 1, 0, -1 units within it; a tenth of
    # three units is the threshold's width. Of two units 2/3: 4/3 + 1/2 - 2 = -1/6 within a width of 1/5.
    units = soft(space_of(TwoConvolutions, "channel"), [2 / 3, 0.5])
    expected = [1.0, 0.3029407160, 1.0, 0.5, 0.0344451957]
    assert units.step(0.5).gates.tolist() == pytest.approx(expected)
    assert units.ranking().tolist() == pytest.approx([5 / 6, -1 / 6, 1, 0, -1])


def test_an_important_unit_rises_when_ranks_are_taken_anew() -> None:
    units = soft(space_of(TwoConvolutions, "channel"), [0.5, 0.5], refreshes=2)
    gates = units.step(0.1).gates
    # The importance is a tenth of |gate * gradient|.
    (gates * torch.tensor([0.0, 3.0, 1.0, -4.0, 5.0], dtype=torch.float64)).sum().backward()
    units.settle()
    expected = (gates.detach() * torch.tensor([0.0, 0.3, 0.1, 0.4, 0.5])).tolist()
    assert units.importance.tolist() == pytest.approx(expected)
    assert units.step(0.4).gates.argmax() == 0
    after = units.step(0.5).gates
    assert after[1] == 1 and after[3] == 1 and after[0] < 1


def test_importance_is_the_loss_s_and_not_the_penalty_s() -> None:
    units = soft(space_of(TwoConvolutions, "channel"), [0.5, 0.5])
    gates, kept = units.step(0.1)
    (0 * gates.sum() + 9 * kept.sum()).backward()
    units.settle()
    assert not bool(units.importance.any())
    assert bool((units.scores.grad != 0).all())


def test_hinges_by_hand() -> None:
    spaces = [space_of(TwoConvolutions, "channel", kind) for kind in ("params", "macs", "memory")]
    hinges = Hinges(spaces, [0.5, 0.25, 1.0], dual_rate=1.0, damping=0.0, hold=1.0)
    kept = torch.ones(5, dtype=torch.float64)
    # The large model takes 1 of everything: excesses of log 2 and log 4 become weights, of hinges of 1 and 3.
    penalty, weight = hinges(kept, 0, 10)
    assert weight == pytest.approx(0.6931471806)
    assert float(penalty) == pytest.approx(0.6931471806 + 3 * 1.3862943611)
    assert hinges.notes(kept) == {"relaxed_macs": 1.0, "relaxed_memory": 1.0}


def test_what_fits_is_free() -> None:
    spaces = [space_of(TwoConvolutions, "channel", "memory")]
    kept = torch.full((5,), 0.5, dtype=torch.float64, requires_grad=True)
    penalty, _ = Hinges(spaces, [0.9], dual_rate=1.0, damping=1.0, hold=1.0)(kept, 0, 10)
    assert float(penalty.detach()) == 0


@pytest.mark.parametrize("kind", ["params", "memory"])
def test_gradient_against_finite_differences(kind: str) -> None:
    _, loss_at = gated_loss()
    space = space_of(TwoConvolutions, "channel", kind)

    def objective(logits: Tensor) -> Tensor:
        units = SoftRanks(space, logits.clone(), (2.0, 0.2), 0.9, 1)
        gates, kept = units.step(0.5)
        return loss_at(gates) + torch.relu(space.cost(kept) / space.total / 0.3 - 1)

    logits = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    units = SoftRanks(space, logits, (2.0, 0.2), 0.9, 1)
    gates, kept = units.step(0.5)
    (loss_at(gates) + torch.relu(space.cost(kept) / space.total / 0.3 - 1)).backward()
    for group in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[group] = 1e-6
        point = logits.detach()
        difference = float((objective(point + step) - objective(point - step)).detach()) / 2e-6
        assert float(logits.grad[group]) == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_the_other_resources_are_bounded_by_uniform_width() -> None:
    made = problem("channel", (0.5,), build=Residual)
    spaces = [made.space, *others(made)]
    assert [space.cost_kind for space in spaces] == ["params", "macs", "memory"]
    # One more unit of either group would exceed half of the parameters; the groups hold 4 and 2 units.
    found = bounds(spaces, 0.5)
    uniform = made.space.project(torch.tensor([1, 0.75, 0.5, 0.25, 1, 0.5]), 0.5)
    assert found == [0.5, spaces[1].complexity(uniform), spaces[2].complexity(uniform)]


def test_single_weights_have_no_memory() -> None:
    assert [space.cost_kind for space in others(problem("weight"))] == ["macs"]


def test_at_full_width_it_is_pretraining() -> None:
    made = problem("channel", (1.0,), build=Normed)
    pruner = Microcontroller(Microcontroller.Parameters(length=1.0, start=1 - 1e-6, travel=0.0, hot=0.01, cold=0.01))
    (sub,) = pruner.search(made)
    assert bool(sub.mask.all())
    assert_pretrained(made, sub.state)


def test_the_relaxed_network_comes_down_to_its_bounds() -> None:
    recipe = RECIPE.model_copy(update={"steps": 200})
    made = problem("channel", (0.6,), build=TwoConvolutions, recipe=recipe)
    (sub,) = Microcontroller().search(made)
    assert sub.notes["relaxed_complexity"] <= 0.6 * 1.1
    assert set(sub.notes) == {"relaxed_complexity", "relaxed_macs", "relaxed_memory"}
