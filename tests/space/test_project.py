from copy import deepcopy

import networks
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.errors import BenchError
from benchmark.space import SearchSpace

SPACES = [
    (name, granularity, cost)
    for name in (*networks.LARGE, "Residual", "Flattened", "Concatenated")
    for granularity in ("channel", "weight")
    for cost in ("params", "macs")
]


def check(space: SearchSpace, scores: Tensor, budget: float) -> Tensor:
    """The budget is met from below within one unit, in score order, and no group is empty."""
    mask = space.project(scores, budget)
    assert mask.dtype == torch.bool and mask.shape == (space.n,)
    assert space.complexity(mask) <= budget
    assert all(bool(part.any()) for part in space.unflatten(mask).values())
    required = space._required(scores.double())
    assert not bool((required & ~mask).any())
    order = torch.sort(scores, descending=True, stable=True).indices
    free = order[~required[order]]
    taken = int(mask[free].sum())
    assert bool(mask[free[:taken]].all())
    if taken < len(free):
        more = mask.clone()
        more[free[taken]] = True
        assert space.complexity(more) > budget
    else:
        assert bool(mask.all())
    return mask


@pytest.mark.parametrize(("name", "granularity", "cost"), SPACES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1), levels=st.sampled_from([1, 3, 10**6]), scale=st.booleans())
def test_any_scores_meet_any_budget(
    name: str, granularity: str, cost: str, seed: int, share: float, levels: int, scale: bool
) -> None:
    space = networks.space(name, granularity, cost)
    draw = torch.Generator().manual_seed(seed)
    scores = (torch.rand(space.n, generator=draw) * levels).floor()
    if scale:  # whole groups above others
        groups = torch.rand(len(space.groups), generator=draw) * 10 * levels
        scores = scores + groups.repeat_interleave(torch.tensor(space.sizes))
    check(space, scores, space.minimum + share * (1 - space.minimum))


def test_by_hand_with_ties() -> None:
    space = networks.space("TwoConvolutions", "channel")
    # One channel each costs 25; units: first 0, 1, second 2, 3, 4.
    # A second channel in `first` costs 10 + 9 k more, one more in `second` 9 j + 2 + 2.
    scores = torch.tensor([1.0, 2.0, 0.0, 5.0, 5.0])
    assert space.project(scores, 25 / 88).tolist() == [False, True, False, True, False]
    assert space.project(scores, 37 / 88).tolist() == [False, True, False, True, False]
    assert space.project(scores, 38 / 88).tolist() == [False, True, False, True, True]
    assert space.project(scores, 1.0).tolist() == [True] * 5
    # Equal scores: the lower index first.
    assert space.project(torch.zeros(5), 38 / 88).tolist() == [True, False, True, False, False]
    assert space.project(torch.zeros(5), 44 / 88).tolist() == [True, True, True, False, False]


def test_scores_of_minus_infinity_come_last() -> None:
    for granularity in ("channel", "weight"):
        space = networks.space("vgg16", granularity)
        scores = torch.rand(space.n)
        scores[::2] = -torch.inf
        mask = check(space, scores, 0.1)
        # Only required units are taken from those marked.
        assert mask[::2].sum() <= len(space.groups)


def test_projection_does_not_depend_on_monotone_scale_or_dtype_of_channel_scores() -> None:
    space = networks.space("resnet20", "channel")
    scores = torch.randn(space.n)
    expected = space.project(scores, 0.2)
    assert torch.equal(space.project(scores.double() * 7 - 3, 0.2), expected)
    assert torch.equal(space.project(scores.requires_grad_(), 0.2), expected)


@pytest.mark.parametrize(("name", "granularity", "cost"), SPACES)
def test_the_minimum_is_the_smallest_budget(name: str, granularity: str, cost: str) -> None:
    space = networks.space(name, granularity, cost)
    mask = check(space, torch.randn(space.n), space.minimum)
    assert space.complexity(mask) == space.minimum
    with pytest.raises(
        BenchError, match=rf"^budget .*: below the smallest {granularity} architecture.*ask for at least"
    ):
        space.project(torch.zeros(space.n), space.minimum * 0.999)


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.5, float("nan")])
def test_impossible_budgets_are_refused(budget: float) -> None:
    space = networks.space("Residual", "channel")
    with pytest.raises(BenchError, match=r"expected a share in \(0, 1\]"):
        space.project(torch.zeros(space.n), budget)


def test_bad_scores_are_refused() -> None:
    space = networks.space("Residual", "channel")
    scores = torch.zeros(space.n)
    scores[2] = torch.nan
    with pytest.raises(BenchError, match="1 of 6 are NaN"):
        space.project(scores, 0.5)
    with pytest.raises(BenchError, match=r"shape \[7\], expected \[6\]"):
        space.project(torch.zeros(7), 0.5)


def worst_scores(space: SearchSpace, seed: int) -> list[Tensor]:
    """Scores that tempt a ranking to cut the network: random, one layer above all, noise around few levels."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.rand(space.n, generator=draw)
    first = torch.zeros(space.n)
    first[: space.sizes[0]] = 1
    last = torch.zeros(space.n)
    last[-space.sizes[-1] :] = 1
    return [
        noise,
        noise + 10 * first,
        noise + 10 * last,
        -noise,
        torch.zeros(space.n),
        -torch.inf * torch.ones(space.n),
    ]


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        *[("vgg16", 0.01), ("resnet20", 0.02), ("Flattened", None), ("Residual", None), ("Transformer", None)],
        *[("GatedUnit", None), ("DepthwiseMultiplied", None), ("GroupedInFour", None), ("LibraryAttention", None)],
    ],
)
def test_single_weights_stay_connected(name: str, budget: float | None) -> None:
    """With positive weights every kept path passes a signal, so every layer and the input must have a gradient."""
    space, model = networks.space(name, "weight"), deepcopy(networks.network(name)).double().eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().clamp_(min=0.1, max=1)
    for scores in worst_scores(space, 0):
        mask = space.project(scores, space.minimum if budget is None else budget)
        extracted = space.extract(model, space.architecture(mask))
        images = torch.rand(1, *networks.example(name).shape[1:], dtype=torch.float64, requires_grad=True)
        extracted(images).sum().backward()
        assert images.grad is not None and bool(images.grad.any())
        for group in space.groups:
            gradient = extracted.get_parameter(group.name).grad
            assert gradient is not None
            assert bool(gradient.flatten()[mask[space.offsets[group.name]]].any()), group.name
