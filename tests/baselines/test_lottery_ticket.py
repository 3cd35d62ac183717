"""Iterative magnitude pruning: its schedule, what it trains from, and that a pruned weight stays pruned."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import torch
from problems import RECIPE, dearest_unit, problem
from torch import Tensor

from baselines.lottery_ticket import LotteryTicket
from benchmark.errors import BenchError
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.problem import Problem, SubNetwork

State = dict[str, Tensor]


@dataclass
class Recorded:
    """A search and every training in it: mask, weights it starts from, other arguments, and weights it ends with."""

    problem: Problem
    found: list[SubNetwork] = field(default_factory=list)
    trainings: list[tuple[Tensor, State, dict[str, Any], State]] = field(default_factory=list)

    @property
    def rounds(self) -> list[tuple[Tensor, State, dict[str, Any], State]]:
        return [training for training in self.trainings if "stop" not in training[2]]


def search(granularity: str, budgets: tuple[float, ...], seed: int = 0, **parameters: Any) -> Recorded:
    made = problem(granularity, budgets, seed)
    recorded, retrain = Recorded(made), made.retrain

    def spy(mask: Tensor, state: State, **more: int) -> State:
        before = {name: tensor.clone() for name, tensor in state.items()}
        trained = retrain(mask, state, **more)
        after = {name: tensor.clone() for name, tensor in trained.items()}
        recorded.trainings.append((mask.clone(), before, more, after))
        return trained

    made.retrain = spy  # type: ignore[assignment, method-assign]
    recorded.found = LotteryTicket(LotteryTicket.Parameters(**parameters)).search(made)
    return recorded


def equal(one: State, other: State) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_every_round_drops_a_fifth_of_the_cost_or_stops_at_the_budget(granularity: str) -> None:
    recorded = search(granularity, (0.5, 0.3))
    space = recorded.problem.space
    # 1, a fifth off until 0.5 lies between, then from there on to 0.3.
    allowed = [1, 0.8, 0.64, 0.512, 0.5, 0.4, 0.32, 0.3]
    masks = [mask for mask, *_ in recorded.rounds]
    assert len(masks) == len(allowed)
    for mask, share in zip(masks, allowed, strict=True):
        left = (share + 1e-12) * space.total - space.exact_cost(mask)
        assert 0 <= left < max(1, dearest_unit(space, mask))
    assert torch.equal(recorded.found[0].mask, masks[4]) and torch.equal(recorded.found[1].mask, masks[7])


@pytest.mark.parametrize(
    ("granularity", "seed", "budgets"),
    [
        # Two rounds close together (0.1024 and 0.1): a small channel would fit where a large one did not.
        ("channel", 0, (0.5, 0.25, 0.1)),
        ("channel", 1, (0.02,)),
        # Close to the smallest connected network, whose path moves with the weights' scores.
        ("weight", 0, (0.1, 0.012)),
        ("weight", 1, (0.5, 0.02)),
    ],
)
def test_what_was_pruned_never_comes_back(granularity: str, seed: int, budgets: tuple[float, ...]) -> None:
    recorded = search(granularity, budgets, seed)
    masks = [mask for mask, *_ in recorded.rounds]
    for before, after in pairwise(masks):
        assert not bool((after & ~before).any())


def test_a_round_drops_the_smallest_of_the_trained_weights() -> None:
    recorded = search("weight", (0.5,), drop=0.5)
    (full, _, _, trained), (mask, *_) = recorded.rounds
    assert bool(full.all())
    scores = magnitude_importance(recorded.problem.space, trained, "l1")
    assert torch.equal(mask, recorded.problem.space.project(scores, 0.5))


def test_a_round_can_compare_norms_per_entry() -> None:
    recorded = search("channel", (0.5,), drop=0.5, scope="normalised")
    (_, _, _, trained), (mask, *_) = recorded.rounds
    space = recorded.problem.space
    scores = magnitude_importance(space, trained, "l1", per_entry=True)
    assert torch.equal(mask, space.project(scores, 0.5))
    assert not torch.equal(mask, space.project(magnitude_importance(space, trained, "l1"), 0.5))


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_rewind_0_goes_back_to_the_initial_weights(granularity: str) -> None:
    recorded = search(granularity, (0.5, 0.2), drop=0.5)
    initial = recorded.problem.initial()
    assert len(recorded.trainings) == len(recorded.rounds) == 4
    assert all(equal(start, initial) for _, start, *_ in recorded.rounds)
    images = RECIPE.steps * RECIPE.batch
    macs = sum(recorded.problem.space.macs(mask) for mask, *_ in recorded.rounds)
    assert recorded.problem.flops == 6 * images * macs


def test_rewind_k_goes_back_to_the_weights_of_step_k_and_trains_the_rest() -> None:
    recorded = search("weight", (0.5, 0.2), drop=0.5, rewind=3)
    (mask, start, more, rewound), *rounds = recorded.trainings
    assert bool(mask.all()) and more == {"stop": 3} and equal(start, recorded.problem.initial())
    assert len(rounds) == 4
    assert all(equal(start, rewound) and more == {"start": 3} for _, start, more, _ in rounds)
    macs = 3 * recorded.problem.dense_macs + sum(recorded.problem.space.macs(mask) for mask, *_ in rounds)
    assert recorded.problem.flops == 6 * RECIPE.batch * macs


def test_there_must_be_training_left_after_the_rewinding() -> None:
    with pytest.raises(BenchError, match=r"^lottery_ticket: rewind 4.*below the 4 steps"):
        search("channel", (0.5,), rewind=RECIPE.steps)


def test_own_weights_are_the_trained_tickets_and_zero_where_pruned() -> None:
    for granularity in ("channel", "weight"):
        recorded = search(granularity, (0.5, 0.1), drop=0.5)
        space = recorded.problem.space
        for sub in recorded.found:
            assert sub.state is not None
            ends = [end for mask, _, _, end in recorded.rounds if torch.equal(mask, sub.mask)]
            assert equal(sub.state, ends[-1])
            # What extraction keeps is all there is.
            assert equal(space.restore(space.shrink(sub.state, sub.mask), sub.mask), sub.state)
            assert not bool(magnitude_importance(space, sub.state, "l1")[~sub.mask].any())
            assert bool(magnitude_importance(space, sub.state, "l1")[sub.mask].any())
