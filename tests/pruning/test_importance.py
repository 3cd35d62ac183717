"""Scores and how they are spread over the groups, by hand."""

import math

import pytest
import torch
from problems import Residual, TwoConvolutions, space_of, vgg
from shallow import network
from shallow import space as shallow_space
from torch import Tensor

from benchmark.pruning.importance import magnitude_importance, ranks, with_ratios


def test_ranks_by_hand() -> None:
    space = space_of(TwoConvolutions, "channel")
    assert [(group.name, group.size) for group in space.groups] == [("first", 2), ("second", 3)]
    found = ranks(space, torch.tensor([1.0, 2.0, 50.0, 0.0, 3.0]))
    torch.testing.assert_close(found, torch.tensor([1 / 2, 1, 1, 1 / 3, 2 / 3], dtype=torch.float64))
    # Equal scores: the lower index is the better unit.
    found = ranks(space, torch.zeros(5))
    torch.testing.assert_close(found, torch.tensor([1, 1 / 2, 1, 2 / 3, 1 / 3], dtype=torch.float64))


def test_with_ratios_by_hand() -> None:
    space = space_of(TwoConvolutions, "channel")
    found = with_ratios(space, torch.tensor([1.0, 2.0, 50.0, 0.0, 3.0]), torch.tensor([1.0, 0.5]))
    # The k-th best of n units is taken when the threshold passes k / (n * ratio).
    torch.testing.assert_close(found, torch.tensor([-1, -1 / 2, -2 / 3, -2, -4 / 3], dtype=torch.float64))


@pytest.mark.parametrize("budget", [0.5, 0.2, 0.05])
def test_one_threshold_explains_every_groups_share(budget: float) -> None:
    """Kept k of n at ratio r means a threshold t with k <= n r t < k + 1, but for what every group must keep."""
    space = space_of(vgg, "channel")
    draw = torch.Generator().manual_seed(0)
    ratios = torch.rand(len(space.groups), generator=draw, dtype=torch.float64) + 0.05
    scores = torch.rand(space.n, generator=draw, dtype=torch.float64)
    mask = space.project(with_ratios(space, scores, ratios), budget)
    lowest, highest = 0.0, math.inf
    for group, ratio in zip(space.groups, ratios.tolist(), strict=True):
        part = space.offsets[group.name]
        kept = int(mask[part].sum())
        assert bool(mask[part][scores[part].topk(kept).indices].all())
        if kept > 1:
            lowest = max(lowest, kept / (group.size * ratio))
        if kept < group.size:
            highest = min(highest, (kept + 1) / (group.size * ratio))
    assert lowest <= highest


@pytest.mark.parametrize("budget", [0.5, 0.2, 0.05])
def test_ranks_keep_equal_shares(budget: float) -> None:
    space = space_of(vgg, "channel")
    scores = torch.rand(space.n, generator=torch.Generator().manual_seed(1))
    mask = space.project(ranks(space, scores), budget)
    shares = [float(part.float().mean()) for part in mask.split(space.sizes)]
    # Within one unit of a common share; the smallest group has 4 units.
    assert max(shares) - min(shares) <= 1 / 4 + 1 / 8


def filters(**rows: list[float]) -> dict[str, Tensor]:
    """A state whose layers' filters are constant: `rows[layer][i]` is every entry of filter i."""
    state = {name: torch.zeros_like(tensor) for name, tensor in Residual().state_dict().items()}
    for layer, values in rows.items():
        weight = state[f"{layer}.weight"]
        weight += torch.tensor(values).view(-1, *[1] * (weight.dim() - 1))
    return state


def test_channel_magnitudes_of_a_residual_sum_by_hand() -> None:
    space = space_of(Residual, "channel")
    assert [(group.name, group.size) for group in space.groups] == [("stem", 4), ("inner", 2)]
    # Filter sizes: stem 9 entries, outer 2, inner 36. The sum couples stem and outer; bias and readers do not count.
    state = filters(stem=[1, -2, 0, 3], outer=[0, 1, -4, 2], inner=[-1, 0.5], head=[9, 9, 9])
    state["outer.bias"] += 100
    first = magnitude_importance(space, state, "l1")
    torch.testing.assert_close(first, torch.tensor([9, 18 + 2, 8, 27 + 4, 36, 18], dtype=torch.float64))
    second = magnitude_importance(space, state, "l2")
    squares = torch.tensor([9, 36 + 2, 32, 81 + 8, 36, 9], dtype=torch.float64)
    torch.testing.assert_close(second, squares.sqrt())


def test_per_entry_norms_do_not_depend_on_the_filters_size() -> None:
    space = space_of(Residual, "channel")
    # Of the stem's 9 entries beside outer's 2, and of inner's 36.
    state = filters(stem=[1, -2, 0, 3], outer=[0, 1, -4, 2], inner=[-1, 0.5])
    first = magnitude_importance(space, state, "l1", per_entry=True)
    torch.testing.assert_close(first, torch.tensor([9 / 11, 20 / 11, 8 / 11, 31 / 11, 1, 0.5], dtype=torch.float64))
    second = magnitude_importance(space, state, "l2", per_entry=True)
    squares = torch.tensor([9 / 11, 38 / 11, 32 / 11, 89 / 11, 1, 0.25], dtype=torch.float64)
    torch.testing.assert_close(second, squares.sqrt())


def test_per_entry_norms_of_blocks_by_hand() -> None:
    space = shallow_space("TwoBottlenecks", "block+channel")
    state = {name: torch.zeros_like(tensor) for name, tensor in network("TwoBottlenecks").state_dict().items()}
    state["first.inner.weight"] += 1
    state["first.outer.weight"] += 3
    # 72 entries of 1 and 8 of 3, in 2 + 4 filters; the inner channels have 36 entries each.
    found = magnitude_importance(space, state, "l1", per_entry=True)
    torch.testing.assert_close(found[:2], torch.tensor([(72 + 24) / 80, 0], dtype=torch.float64))
    torch.testing.assert_close(found[6:], torch.tensor([1.0, 1, 0, 0], dtype=torch.float64))
    raw = magnitude_importance(space, state, "l1")
    torch.testing.assert_close(raw[0], torch.tensor((72 + 24) / 6, dtype=torch.float64))


def test_single_weights_have_one_entry() -> None:
    space = space_of(Residual, "weight")
    state = Residual().state_dict()
    for norm in ("l1", "l2"):
        assert torch.equal(
            magnitude_importance(space, state, norm, per_entry=True), magnitude_importance(space, state, norm)
        )


def test_the_norms_rank_differently() -> None:
    space = space_of(Residual, "channel")
    state = filters(stem=[1, 1, 1, 1], inner=[1, 1])
    # Twice the L1 norm in one entry beats many equal entries in L2 only once it is concentrated enough.
    state["inner.weight"][0] = 0
    state["inner.weight"][0, 0, 0, 0] = 10
    assert magnitude_importance(space, state, "l1")[4:].tolist() == [10, 36]
    assert magnitude_importance(space, state, "l2")[4:].tolist() == [10, 6]


def test_weight_magnitudes_are_absolute_values() -> None:
    space = space_of(Residual, "weight")
    state = {
        name: torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))
        for name, tensor in Residual().state_dict().items()
    }
    expected = torch.cat([state[f"{layer}.weight"].abs().flatten() for layer in ("stem", "inner", "outer", "head")])
    for norm in ("l1", "l2"):
        assert torch.equal(magnitude_importance(space, state, norm), expected.double())
