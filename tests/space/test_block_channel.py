from itertools import product

import networks
import pytest
import shallow
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.space import BlockSpace, count

SPACES = [(name, granularity, cost) for name, granularity in shallow.CASES for cost in ("params", "macs")]


def test_blocks_and_channels_by_hand() -> None:
    space = shallow.space("TwoBottlenecks", "block+channel")
    assert {group.name: group.size for group in space.groups} == {
        "first": 2,
        "stem": 4,
        "first.inner": 2,
        "second.inner": 2,
    }
    model = shallow.network("TwoBottlenecks")
    for one, other, stream, inner, second in product([0, 1], [0, 1], [1, 3], [1, 2], [1, 2]):
        if one + other == 0:
            continue
        kept = [one, other, *[1] * stream, *[0] * (4 - stream), 1, inner - 1, second - 1, 1]
        mask = torch.tensor(kept, dtype=torch.bool)
        within = [there * (9 * stream * width + width * stream) for there, width in ((one, inner), (other, second))]
        biases = (one + other) * stream
        assert space.params(mask) == 9 * stream + sum(within) + biases + 2 * stream
        assert space.macs(mask) == 16 * (9 * stream + sum(within)) + 2 * stream
        extracted = space.extract(model, space.architecture(mask))
        assert count(extracted, shallow.example("TwoBottlenecks")) == (space.params(mask), space.macs(mask))


def test_channels_in_a_skipped_block_cost_nothing() -> None:
    space = shallow.space("TwoBottlenecks", "block+channel")
    without = torch.tensor([0, 1, 1, 1, 1, 1, 1, 0, 1, 1], dtype=torch.bool)
    more = without.clone()
    more[7] = True
    assert space.params(more) == space.params(without)
    gradient = torch.autograd.functional.jacobian(space.cost, without.double())
    # One channel of `first.inner` would cost (9 * 4 + 4) if its block were on; the block itself one such and 4 biases.
    assert gradient[6:8].tolist() == [0, 0] and gradient[0] == 44
    assert gradient[8:].tolist() == [40, 40]


def widths(first: int, one: int, two: int, last: int) -> list[int]:
    """The units of `Plain` that keep so many channels in each layer."""
    return [
        bit for kept, size in ((first, 3), (one, 3), (two, 3), (last, 2)) for bit in [1] * kept + [0] * (size - kept)
    ]


@pytest.mark.parametrize("cost", ["params", "macs"])
def test_every_architecture_of_a_plain_network_costs_what_is_counted(cost: str) -> None:
    space, model = shallow.space("Plain", "block+channel", cost), shallow.network("Plain").double().eval()
    assert [(group.name, group.size) for group in space.groups] == [
        ("features.3 (block)", 2),
        *(("features.0", 3), ("features.3", 3), ("features.7", 3), ("features.10", 2)),
    ]
    images = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for on, first, one, two, last in product([(0, 1), (1, 0), (1, 1)], [1, 2, 3], [1, 3], [1, 2, 3], [1, 2]):
        mask = torch.tensor([*on, *widths(first, one, two, last)], dtype=torch.bool)
        # What the third and the fourth layer read: the nearest layer before them that is there.
        third = one if on[0] else first
        fourth = two if on[1] else third
        products = [9 * first, on[0] * 9 * first * one, on[1] * 9 * third * two, 9 * fourth * last]
        norms = 2 * (first + on[0] * one + on[1] * two + last)
        assert space.params(mask) == sum(products) + norms + 2 * last + 2
        # Maps of 16 positions, of 4 after the pooling.
        assert space.macs(mask) == sum(n * size for n, size in zip(products, (16, 16, 4, 4), strict=True)) + 2 * last
        extracted = space.extract(model, space.architecture(mask))
        assert count(extracted, images[:1]) == (space.params(mask), space.macs(mask))
        assert space.cost(mask.double()).item() == space.exact_cost(mask)
        masked = space.run(model, dict(model.named_parameters()), mask.double(), images)
        assert torch.allclose(extracted(images), masked, rtol=1e-9, atol=1e-12)


def test_a_skipped_layer_passes_on_the_channels_it_takes() -> None:
    space = shallow.space("Plain", "block+channel")
    mask = torch.tensor([0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1], dtype=torch.bool)
    mask[1] = True
    kept = space.shrink(shallow.network("Plain").state_dict(), mask)
    full = shallow.network("Plain").state_dict()["features.7.weight"]
    assert torch.equal(kept["features.7.weight"], full[:1, [0, 2]])
    assert "features.3.weight" not in kept and "features.4.running_mean" not in kept


def test_relaxed_layers_mix_channels_with_those_before_them() -> None:
    space, model = shallow.space("Plain", "block+channel"), shallow.network("Plain").double().train()
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(4, 1, 4, 4, generator=draw, dtype=torch.float64)
    a = torch.rand(space.n, generator=draw, dtype=torch.float64)
    (one, two), first, inner, third, last = a[:2], a[2:5], a[5:8], a[8:11], a[11:]
    layers = model.features
    x = first.view(-1, 1, 1) * layers[:3](images)
    x = one * inner.view(-1, 1, 1) * layers[3:6](x) + (1 - one) * x
    x = layers[6](x)
    x = two * third.view(-1, 1, 1) * layers[7:10](x) + (1 - two) * x
    expected = model.head(last * layers[10:](x).mean((2, 3)))
    assert torch.allclose(space.run(model, dict(model.named_parameters()), a, images), expected, rtol=1e-12)


def test_gates_of_a_plain_network_have_the_right_gradients() -> None:
    model = shallow.network("Plain").double().eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(2)
    images = torch.randn(2, 1, 4, 4, generator=draw, dtype=torch.float64)
    for kind in ("params", "macs"):
        space = shallow.space("Plain", "block+channel", kind)
        a = torch.rand(space.n, generator=draw, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(space.cost, a)
    parameters = dict(model.named_parameters())
    assert torch.autograd.gradcheck(lambda gates: space.run(model, parameters, gates, images), a)


def test_a_layer_that_makes_the_rest_cheaper_may_come_last() -> None:
    space = shallow.space("Plain", "block+channel")
    # Both layers, three channels into the last one; or one of the second layer only, and then one is read behind it.
    wide = torch.tensor([1, 0, *widths(3, 1, 1, 2)], dtype=torch.bool)
    thin = torch.tensor([1, 1, *widths(3, 1, 1, 2)], dtype=torch.bool)
    assert space.params(thin) - space.params(wide) == 9 + 2  # reads 1, gives 1: nothing behind changes
    flat = torch.tensor([0, 1, *widths(3, 1, 3, 2)], dtype=torch.bool)
    both = torch.tensor([1, 1, *widths(3, 1, 3, 2)], dtype=torch.bool)
    assert space.params(both) < space.params(flat)
    # In this order the first layer is the last unit to be taken: its narrow result makes the third layer cheaper.
    scores = torch.where(both, 2.0, 0.0)
    scores[0] = 1.0
    budget = (space.params(flat) - 1) / space.total
    assert torch.equal(space.project(scores, budget), both)


def test_layers_whose_channels_are_cut_apart_are_none() -> None:
    # Two channels of the grouped convolution go together, and so do those of the layer before it, but not of the first.
    space = shallow.space("Layers", "block+channel")
    assert [block.name for block in space.blocks] == ["features.6", "hidden.0", "hidden.2"]
    assert space.graph.whole == {
        "features.3": "is a layer whose channels are cut in other places than those of the layer before it"
    }


def check(space: BlockSpace, scores: Tensor, budget: float) -> Tensor:
    """The budget is met from below, in score order, and no group is empty."""
    mask = space.project(scores, budget)
    assert mask.dtype == torch.bool and space.complexity(mask) <= budget
    assert all(bool(part.any()) for part in mask.split(space.sizes))
    required = space._required(scores.double())
    assert bool(mask[required].all())
    order = torch.sort(scores, descending=True, stable=True).indices
    free = order[~required[order]]
    taken = int(mask[free].sum())
    assert bool(mask[free[:taken]].all())
    if taken < len(free):
        more = mask.clone()
        more[free[taken]] = True
        assert space.complexity(more) > budget
    return mask


@pytest.mark.parametrize(("name", "granularity", "cost"), SPACES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1), levels=st.sampled_from([1, 3, 10**6]))
def test_any_scores_meet_any_budget(
    name: str, granularity: str, cost: str, seed: int, share: float, levels: int
) -> None:
    space = shallow.space(name, granularity, cost)
    draw = torch.Generator().manual_seed(seed)
    scores = (torch.rand(space.n, generator=draw) * levels).floor()
    check(space, scores, space.minimum + share * (1 - space.minimum))
    check(space, scores, space.minimum)
    assert bool(check(space, scores, 1.0).all())


@pytest.mark.parametrize(("name", "granularity"), shallow.CASES)
def test_units_of_a_range_cost_the_same(name: str, granularity: str) -> None:
    space = shallow.space(name, granularity)
    assert sum(part.stop - part.start for part in space.alike) == space.n
    mask = networks.random_mask(space, 5, 0.3)
    for part in space.alike:
        costs = set()
        for unit in range(part.start, part.stop):
            more = mask.clone()
            more[unit] = True
            if not mask[unit]:
                costs.add(space.exact_cost(more))
        assert len(costs) <= 1


def test_the_space_digest_tells_granularities_apart() -> None:
    digests = {space.digest for space in (shallow.space(*case) for case in shallow.CASES)}
    assert len(digests) == len(shallow.CASES)
