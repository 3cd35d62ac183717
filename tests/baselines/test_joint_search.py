"""Thresholds, write-back and policy by hand, and the search with one round."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import RECIPE, Residual, TwoConvolutions, pretrained_weights, problem, space_of, vgg
from torch.nn import functional as F

from baselines.joint_search import RATIOS, JointSearch, Policy, entering, step_of, tuned, written_back
from benchmark.pruning.importance import ranks


def test_scores_by_hand() -> None:
    space = space_of(TwoConvolutions, "channel")  # groups of 2 and 3 channels
    importance = torch.tensor([0.25, 0.75, 0.3, 0.5, 0.2], dtype=torch.float64).log()
    found = entering(space, importance, torch.tensor([0.75, 0.6], dtype=torch.float64))
    torch.testing.assert_close(
        found, torch.tensor([-0.75 / 0.75, 0, -0.5 / 0.6, 0, -0.8 / 0.6], dtype=torch.float64), atol=1e-12, rtol=0
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.99), st.floats(0.05, 0.99))
def test_a_group_keeps_the_fewest_units_that_reach_its_threshold(seed: int, one: float, other: float) -> None:
    space = space_of(Residual, "channel")
    importance = torch.rand(space.n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    thresholds = torch.tensor([one, other], dtype=torch.float64)
    kept = entering(space, importance, thresholds) > -1
    for threshold, part in zip(thresholds.tolist(), space.offsets.values(), strict=True):
        shares = importance[part].softmax(0).sort(descending=True).values.tolist()
        count = next(k for k in range(1, len(shares) + 1) if math.fsum(shares[:k]) >= threshold - 1e-12)
        assert int(kept[part].sum()) == count


def test_equal_importance_and_equal_thresholds_are_uniform_widths() -> None:
    space = space_of(vgg, "channel")
    even = entering(space, torch.zeros(space.n, dtype=torch.float64), torch.full((len(space.groups),), 0.7))
    for budget in (0.5, 0.1):
        kept, expected = (space.project(scores, budget) for scores in (even, ranks(space, -torch.arange(space.n))))
        widths = [[int(part.sum()) for part in mask.split(space.sizes)] for mask in (kept, expected)]
        # The last unit that fits may lie in another group: ties are broken by rounding.
        assert sum(abs(a - b) for a, b in zip(*widths, strict=True)) <= len(space.groups)
        assert max(abs(a - b) for a, b in zip(*widths, strict=True)) <= 1


def test_written_back_by_hand() -> None:
    space = space_of(Residual, "channel")
    net = Residual().state_dict()
    large = {name: torch.zeros_like(tensor) for name, tensor in net.items()}
    trained = {name: torch.ones_like(tensor) for name, tensor in net.items()}
    mask = torch.tensor([True, False, True, False, False, True])  # of the stem's four and the two inside
    found = written_back(space, large, trained, mask)
    assert found["stem.weight"].sum((1, 2, 3)).tolist() == [9, 0, 9, 0]
    assert found["inner.weight"].sum((2, 3)).tolist() == [[0, 0, 0, 0], [9, 0, 9, 0]]
    assert found["outer.weight"].flatten(1).tolist() == [[0, 1], [0, 0], [0, 1], [0, 0]]
    assert found["outer.bias"].tolist() == [1, 0, 1, 0]
    assert found["head.weight"].tolist() == [[1, 0, 1, 0]] * 3


@pytest.mark.parametrize("granularity", ["channel", "block+channel"])
def test_the_sub_network_of_what_is_written_back_is_the_trained_one(granularity: str) -> None:
    made = problem(granularity, (0.3,))
    mask = made.space.project(torch.rand(made.space.n, generator=made.generator("here")), 0.3)
    trained = made.retrain(mask, made.initial())
    found = written_back(made.space, made.initial(), trained, mask)
    kept, expected = (made.space.shrink(state, mask) for state in (found, trained))
    assert kept.keys() == expected.keys() and all(torch.equal(kept[name], expected[name]) for name in kept)
    # All else is as before, so that writing back before any training changes nothing.
    untrained = made.space.embed(made.space.shrink(made.initial(), mask), mask)
    again = written_back(made.space, made.initial(), untrained, mask)
    assert all(torch.equal(again[name], tensor) for name, tensor in made.initial().items())


def test_importance_moves_by_the_derivative_of_finite_differences() -> None:
    made = problem("channel", (0.5,), build=TwoConvolutions)
    made.network.double()
    state, mask = made.initial(), torch.tensor([True, False, True, True, False])
    images = torch.randn(2, 6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    held_out = [(one, torch.arange(6) % 3) for one in images]
    made.gated_logits = lambda s, a, x, run=made.gated_logits: run(s, a.double(), x)  # type: ignore[method-assign, misc]
    loss, moved = tuned(made, state, mask, iter(held_out), 2)

    def total(gates: torch.Tensor) -> float:
        losses = [F.cross_entropy(made.space.run(made.network, state, gates, x), y) for x, y in held_out]
        return float(sum(losses))

    gates = mask.double()
    assert loss == pytest.approx(total(gates) / 2)
    for unit in range(5):
        step = 1e-4 * (torch.arange(5) == unit)
        expected = (total(gates + step) - total(gates - step)) / 2e-4 if mask[unit] else 0.0
        assert float(moved[unit]) == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert made.flops == 2 * 3 * 2 * made.dense_macs * 6


def test_rounds_by_hand() -> None:
    assert [step_of(turn, 4, 100, 0.4) for turn in range(5)] == [0, 20, 40, 60, 100]
    assert [step_of(turn, 1, 100, 0.4) for turn in range(2)] == [0, 100]


def policy(groups: int) -> Policy:
    return Policy(groups, 0.1, torch.Generator().manual_seed(0))


def test_the_policy_learns_from_the_second_round_on() -> None:
    found = policy(2)
    drawn = found.drawn()
    found.learn(2.0)
    # Of the first loss nobody knows whether it is good.
    assert bool((found.logits == 0).all()) and found.baseline == 2.0
    assert set(drawn.tolist()) <= set(RATIOS)
    drawn = found.drawn()
    found.learn(1.0)
    # Adam's second step after a zero gradient: the drawn thresholds became likelier, for all groups, the others less.
    for logits, ratio in zip(found.logits, drawn.tolist(), strict=True):
        place = RATIOS.index(ratio)
        assert float(logits[place].detach()) > 0
        assert all(float(one) < 0 for other, one in enumerate(logits.tolist()) if other != place)
    assert torch.equal(found.likeliest(), drawn)
    assert found.baseline == 1.5


def test_a_worse_round_makes_its_thresholds_less_likely() -> None:
    found = policy(1)
    found.drawn()
    found.learn(1.0)
    place = RATIOS.index(float(found.drawn()))
    found.learn(3.0)
    assert int(found.logits.detach().argmin()) == place


@pytest.mark.parametrize("baseline", [-1.0, 0.7])
def test_the_mean_step_is_the_gradient_of_the_expected_loss_for_any_baseline(baseline: float) -> None:
    losses = torch.tensor([0.3, 1.0, 0.2, 2.0, 0.9, 0.4], dtype=torch.float64)
    logits = torch.tensor([[0.1, -0.4, 0.6, 0.0, 0.3, -1.0]])
    mean = torch.zeros(1, 6)
    for place, chance in enumerate(logits[0].softmax(0)):
        found = policy(1)
        found.logits.data.copy_(logits)
        found.baseline, found._chosen = baseline, torch.tensor([[place]])
        found.learn(float(losses[place]))
        assert found.logits.grad is not None
        mean += chance * found.logits.grad
    leaf = logits[0].double().requires_grad_()
    (expected,) = torch.autograd.grad((leaf.softmax(0) * losses).sum(), leaf)
    torch.testing.assert_close(mean[0].double(), expected, rtol=1e-4, atol=1e-6)


def test_one_round_of_the_large_model_is_pretraining() -> None:
    made = problem("channel", (1.0,))
    (sub,) = JointSearch(JointSearch.Parameters(rounds=1)).search(made)
    expected, flops = pretrained_weights(0)
    assert sub.state is not None and made.flops == flops and bool(sub.mask.all())
    for name, tensor in expected.items():
        torch.testing.assert_close(sub.state[name], tensor)


def test_what_is_kept_was_trained_last() -> None:
    made = problem("channel", (0.3,))
    trained = []
    retrain = made.retrain

    def noted(mask, state, start, stop):  # type: ignore[no-untyped-def]
        trained.append((mask, start, stop))
        return retrain(mask, state, start, stop)

    made.retrain = noted  # type: ignore[method-assign]
    (sub,) = JointSearch(JointSearch.Parameters(rounds=3)).search(made)
    assert torch.equal(sub.mask, trained[-1][0])
    # All steps of the recipe, each once.
    assert [start for _, start, _ in trained] == [0, *(stop for _, _, stop in trained[:-1])]
    assert trained[-1][2] == RECIPE.steps
    assert all(made.space.complexity(mask) <= 0.3 for mask, _, _ in trained)


def test_inverted_keeps_what_the_search_ranks_lowest() -> None:
    plain, inverted = (problem("channel", (0.5,), build=Residual, inverted=inverted) for inverted in (False, True))
    (kept,), (mirrored,) = (JointSearch(JointSearch.Parameters(rounds=2)).search(made) for made in (plain, inverted))
    assert inverted.asked_for_inversion and not torch.equal(kept.mask, mirrored.mask)
    # It is the same search, of which only the ranking is turned round.
    assert kept.notes == mirrored.notes and plain.flops == inverted.flops
