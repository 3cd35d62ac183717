"""The penalty and the stages by hand, and masks under which weights come back."""

import pytest
import torch
from problems import RECIPE, Normed, TwoConvolutions, problem, resnet
from torch.nn import functional as F

from baselines.supertickets import SuperTickets, averaged, costs, penalty, size_of_scales, stage_of
from benchmark.errors import BenchError
from benchmark.pruning.norm_scales import norm_scales
from benchmark.pruning.shared_weights import SharedWeights

PLAIN = RECIPE.model_copy(update={"steps": 1, "warmup": 0.0, "momentum": 0.0, "weight_decay": 0.01, "clip": 1e9})


def pruner(**values: float) -> SuperTickets:
    return SuperTickets(SuperTickets.Parameters(**{"length": 1.0, "memory": 0.0, **values}))


def test_stages_by_hand() -> None:
    # Of ten steps the last of two stages begins with the fifth.
    assert [stage_of(step, 10, 2, 0.5) for step in range(10)] == [0, 0, 1, 1, 2, 2, 2, 2, 2, 2]
    assert [stage_of(step, 3, 10, 1.0) for step in range(3)] == [3, 6, 10]
    assert stage_of(0, 1, 10, 0.1) == 10


def test_a_unit_costs_its_derivative_by_hand() -> None:
    made = problem("channel", build=TwoConvolutions)  # 10 x + 9 x y + 3 y + 3 at x = 2, y = 3
    torch.testing.assert_close(costs(made), torch.tensor([37.0, 37, 21, 21, 21], dtype=torch.float64) / 27.4)


def test_the_penalty_by_hand_and_against_finite_differences() -> None:
    made = problem("channel", build=resnet)
    scales = norm_scales(made, "here")
    state = {name: torch.full_like(tensor, -0.5).double() for name, tensor in made.initial().items()}
    price = torch.arange(1.0, made.space.n + 1, dtype=torch.float64)
    sizes = size_of_scales(made.space.n, scales, state)
    assert float(penalty(scales, state, price)) == pytest.approx(float((price * sizes).sum()))
    # The stem's four channels go through its own norm and that of each of a stage's three blocks.
    assert sizes[:4].tolist() == [2.0] * 4
    name = next(iter(scales))
    assert torch.autograd.gradcheck(
        lambda scale: penalty(scales, state | {name: scale}, price), (state[name].requires_grad_(),)
    )


def test_the_running_mean_by_hand() -> None:
    mean, state = ({"w": torch.tensor([one]), "count": torch.tensor(int(one))} for one in (1.0, 5.0))
    found = averaged(mean, state, 0.75)
    assert found["w"].tolist() == [2.0] and int(found["count"]) == 5


def test_without_a_penalty_it_is_plain_training() -> None:
    made, plain = (problem("channel", (0.5,), build=Normed) for _ in range(2))
    (sub,) = pruner(travel=0.0).search(made)
    net = SharedWeights(plain, plain.initial(), RECIPE.steps)
    for images, labels in plain.batches(plain.train, net.recipe, "channels"):
        F.cross_entropy(net.logits(torch.ones(4), images), labels).backward()
        net.update()
    assert sub.state is not None and sub.notes == {"alive": 1.0}
    for name in net.names:
        torch.testing.assert_close(sub.state[name], net.copied()[name], rtol=1e-4, atol=1e-6)


def test_one_penalised_step_by_hand() -> None:
    """All channels of the one group cost the same, so each scale goes the whole way beside the loss's step."""
    recipe = PLAIN.model_copy(update={"weight_decay": 0.0})
    ends = []
    for travel in (0.0, 0.25):
        made = problem("channel", (0.5,), build=Normed, recipe=recipe)
        (sub,) = pruner(travel=travel).search(made)
        assert sub.state is not None
        ends.append(sub.state["norm.weight"])
    torch.testing.assert_close(ends[1], ends[0] - 0.25)


def test_a_masked_weight_only_decays() -> None:
    """With one stage from the first step on, what is masked has no gradient, and what is kept has the masked one."""
    made = problem("weight", (0.6,), build=TwoConvolutions, recipe=PLAIN)
    (sub,) = pruner(stages=1).search(made)
    start = made.initial()
    weights = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    (images, labels), *_ = made.batches(made.train, PLAIN, "weights", 0)
    F.cross_entropy(made.gated_logits(weights, sub.mask.float(), images), labels).backward()
    assert sub.state is not None
    for name, part in made.space.unflatten(sub.mask).items():
        off = ~part.view(start[name].shape)
        gradient = weights[name].grad
        assert gradient is not None and bool((gradient[off] == 0).all())
        expected = start[name] - PLAIN.lr * (gradient + 0.01 * start[name])
        torch.testing.assert_close(sub.state[name], expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(sub.state[name][off], (1 - 0.01 * PLAIN.lr) * start[name][off])


def test_masks_shrink_in_equal_stages_and_weights_come_back() -> None:
    made = problem("weight", (0.4,), recipe=RECIPE.model_copy(update={"steps": 60, "lr": 0.3, "weight_decay": 0.05}))
    budgets, masks = [], []
    project = made.space.project

    class Noted:
        def __getattr__(self, name: str) -> object:
            return getattr(space, name)

        def project(self, scores: torch.Tensor, budget: float) -> torch.Tensor:
            budgets.append(budget)
            masks.append(project(scores, budget))
            return masks[-1]

    space, made.space = made.space, Noted()  # type: ignore[assignment]
    sub = pruner(stages=3)._weights(made, 0)
    assert budgets == pytest.approx([0.8, 0.6, 0.4, 0.4])
    assert bool((masks[1] & ~masks[0]).any()) or bool((masks[2] & ~masks[1]).any())
    # What is kept is the mask under which the last steps were made.
    assert torch.equal(masks[2], sub.mask)


def test_a_group_without_batch_norm_is_named() -> None:
    with pytest.raises(BenchError, match=r"^supertickets: group first goes through no batch norm, expected one"):
        pruner().search(problem("channel", (0.6,), build=TwoConvolutions))


def test_inverted_keeps_what_the_search_ranks_lowest() -> None:
    plain, inverted = (problem("channel", (0.5,), build=Normed, inverted=inverted) for inverted in (False, True))
    (kept,), (mirrored,) = (pruner().search(made) for made in (plain, inverted))
    assert inverted.asked_for_inversion and not torch.equal(kept.mask, mirrored.mask)
    # It is the same search, of which only the ranking is turned round.
    assert kept.notes == mirrored.notes and plain.flops == inverted.flops
