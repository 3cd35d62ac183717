"""Plans by Sinkhorn's iteration and in closed form, their derivative, and the training at full size."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gated_loss import assert_pretrained, gated_loss
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import RECIPE, Normed, TwoConvolutions, problem, space_of
from torch import Tensor

from baselines.transportation import Transport, Transportation, of_cost


def alike(count: int) -> Any:
    """One group of units of equal cost; the first one, best by far, stays outside of the plan."""
    return SimpleNamespace(sizes=[count], offsets={"all": slice(0, count)}, total=count, cost=lambda masks: masks.sum())


def sinkhorn(plan: Tensor, scores: Tensor, kept: float, epsilon: float) -> Tensor:
    """The proximal step from a plan [n, 2] to the targets 0 and 1, iterated until both marginals hold."""
    count = len(scores)
    kernel = plan * (-(scores[:, None] - torch.tensor([0.0, 1.0], dtype=torch.float64)).square() / epsilon).exp()
    masses = torch.tensor([1 - kept / count, kept / count], dtype=torch.float64)
    columns = torch.ones(2, dtype=torch.float64)
    for _ in range(2000):
        rows = (1 / count) / (kernel @ columns)
        columns = masses / (kernel.T @ rows)
    return rows[:, None] * kernel * columns


def test_the_closed_form_is_sinkhorn_s_plan() -> None:
    draw = torch.Generator().manual_seed(0)
    units = Transport(alike(9), torch.zeros(9, dtype=torch.float64), 4 / 9, 0.7)
    plan = torch.ones(8, 2, dtype=torch.float64)
    for _ in range(6):
        scores = torch.rand(9, generator=draw, dtype=torch.float64)
        scores[0] = 5.0
        units.scores = scores
        masks = units.step(0.5).gates
        plan = sinkhorn(plan, scores[1:], 3, 0.7)
        assert float(masks[0]) == 1
        torch.testing.assert_close(masks[1:], 8 * plan[:, 1], rtol=1e-6, atol=1e-9)
    assert torch.equal(units.final().gates, masks)


def test_masks_by_hand() -> None:
    # Two units share a size of one: their logits stand symmetrically around zero.
    masks = of_cost(alike(3), torch.tensor([9.0, 1.0, 3.0], dtype=torch.float64), 2 / 3)
    torch.testing.assert_close(masks, torch.tensor([1.0, 0.2689414214, 0.7310585786], dtype=torch.float64))


@settings(max_examples=25, deadline=None)
@given(
    logits=st.lists(st.floats(-30, 30), min_size=5, max_size=5),
    budget=st.floats(0.45, 1.0),
)
def test_the_relaxed_network_meets_the_budget(logits: list[float], budget: float) -> None:
    space = space_of(TwoConvolutions, "channel")
    masks = of_cost(space, torch.tensor(logits, dtype=torch.float64), budget)
    assert float(space.cost(masks)) / space.total == pytest.approx(budget, abs=1e-6)


def test_gradient_against_finite_differences() -> None:
    made, loss_at = gated_loss()

    def objective(scores: Tensor) -> Tensor:
        return loss_at(Transport(made.space, scores, 0.6, 0.5).step(0.5).gates)

    scores = torch.tensor([0.3, 0.5, 0.4, 0.1, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(objective, (scores,))
    # Other units pay for one that rises: with the offset held still there would be no such derivative.
    masks = Transport(made.space, scores, 0.6, 0.5).step(0.5).gates
    (by_third,) = torch.autograd.grad(masks[2], scores)
    assert float(by_third[2]) > 0 > float(by_third[0])


def test_past_scores_are_constants_that_harden_the_masks() -> None:
    units = Transport(space_of(TwoConvolutions, "channel"), torch.tensor([0.2, 0.6, 0.3, 0.5, 0.7]), 0.6, 1.0)
    first = units.step(0.1)
    (early,) = torch.autograd.grad(first.gates.square().sum(), units.scores)
    for _ in range(49):
        last = units.step(0.1)
    (late,) = torch.autograd.grad(last.gates.square().sum(), units.scores)
    torch.testing.assert_close(units.total, 50 * units.scores.detach().double())
    doubt = [float((gates * (1 - gates)).sum().detach()) for gates in (first.gates, last.gates)]
    assert doubt[1] < 0.5 * doubt[0] and float(late.abs().max()) < float(early.abs().max())


def test_scores_stay_between_the_targets() -> None:
    units = Transport(space_of(TwoConvolutions, "channel"), torch.tensor([-0.2, 0.6, 1.3, 0.5, 0.7]), 0.6, 1.0)
    units.settle()
    assert units.scores.tolist() == pytest.approx([0, 0.6, 1, 0.5, 0.7])


def test_at_full_size_it_is_pretraining() -> None:
    made = problem("channel", (1.0,), build=Normed)
    (sub,) = Transportation().search(made)
    assert bool(sub.mask.all())
    assert_pretrained(made, sub.state)


def test_every_step_runs_at_the_budget() -> None:
    made = problem("channel", (0.5, 0.1), recipe=RECIPE)
    found = Transportation().search(made)
    complexities = [point["complexity"] for point in made.trace]
    assert complexities == pytest.approx([0.5] * RECIPE.steps + [0.1] * RECIPE.steps, rel=1e-4)
    assert [sub.notes["relaxed_complexity"] for sub in found] == pytest.approx([0.5, 0.1], rel=1e-4)
