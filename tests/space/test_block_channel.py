from itertools import product

import networks
import pytest
import shallow
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.errors import BenchError
from benchmark.space import BlockSpace, build_space, count

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


def test_layers_are_refused_beside_channels() -> None:
    model, image = shallow.network("Layers"), shallow.example("Layers")
    with pytest.raises(BenchError, match=r"has no blocks .*input and output channels are pruned apart.*granularity"):
        build_space(model, image, "block+channel")


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
