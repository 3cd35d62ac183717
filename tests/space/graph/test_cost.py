import networks
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.errors import BenchError
from benchmark.space import ChannelSpace, build_space, count

CASES = [(name, granularity) for name in networks.NAMES for granularity in ("channel", "weight")]


def kept(space: ChannelSpace, **widths: int) -> torch.Tensor:
    return space.mask_of_kept(widths)


def channels(name: str, cost: str = "params") -> ChannelSpace:
    space = networks.space(name, "channel", cost)
    assert isinstance(space, ChannelSpace)
    return space


def test_two_convolutions_by_hand() -> None:
    space = channels("TwoConvolutions")
    # first 9*2 + 2, second 9*2*3, norm 2*3, head 3*2 + 2; maps of 4x4 = 16 positions.
    assert space.total == 20 + 54 + 6 + 8
    assert space.macs(torch.ones(5)) == 16 * (9 * 2 + 9 * 2 * 3) + 3 * 2
    # One and two channels: 9*1 + 1, 9*1*2, 2*2, 2*2 + 2.
    mask = kept(space, first=1, second=2)
    assert mask.tolist() == [True, False, True, True, False]
    assert space.params(mask) == 10 + 18 + 4 + 6
    assert space.macs(mask) == 16 * (9 + 18) + 2 * 2
    assert space.complexity(mask) == 38 / 88
    assert space.minimum == (10 + 9 + 2 + 4) / 88


def test_a_residual_block_by_hand() -> None:
    space = channels("Residual")
    # stem 9*s, inner 9*s*i, outer i*s + s, head 2*s for s stream and i inner channels.
    for stream, inner in [(4, 2), (3, 2), (1, 1), (2, 1)]:
        mask = kept(space, stem=stream, inner=inner)
        assert space.params(mask) == 9 * stream + 9 * stream * inner + inner * stream + stream + 2 * stream
        assert space.macs(mask) == 16 * (9 * stream + 9 * stream * inner + inner * stream) + 2 * stream


def test_a_flattened_map_by_hand() -> None:
    space = channels("Flattened")
    # conv 9*2 + 2, hidden reads 4 positions of 2 channels: 8*3 + 3, head 3*2 + 2.
    mask = kept(space, conv=2, hidden=3)
    assert space.params(mask) == 20 + 27 + 8
    assert space.macs(mask) == 16 * 18 + 24 + 6


def test_single_weights_by_hand() -> None:
    space = networks.space("TwoConvolutions", "weight")
    assert {group.name: group.size for group in space.groups} == {
        "first.weight": 18,
        "second.weight": 54,
        "head.weight": 6,
    }
    # Not units: 2 biases of first, 6 of norm, 2 of head.
    assert space.total == 88
    a = torch.zeros(space.n)
    a[[0, 20, 77]] = 1  # one entry per tensor
    assert space.params(a) == 3 + 10
    assert space.macs(a) == 16 + 16 + 1
    assert networks.space("TwoConvolutions", "weight", "macs").cost(a) == 33
    # The smallest one keeps one entry per tensor.
    assert space.minimum == 13 / 88


@pytest.mark.parametrize(("name", "granularity"), CASES)
@pytest.mark.parametrize("kind", ["params", "macs"])
def test_the_cost_is_what_is_counted_on_the_extracted_network(name: str, granularity: str, kind: str) -> None:
    space, model = networks.space(name, granularity, kind), networks.network(name)
    image = networks.example(name)
    for seed, share in enumerate([0.03, 0.3, 0.8, 1.1]):
        mask = networks.random_mask(space, seed, share)
        extracted = space.extract(model, space.architecture(mask))
        if granularity == "channel":
            assert count(extracted, image) == (space.params(mask), space.macs(mask))
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                extracted.eval()(image)
            assert counter.get_total_flops() == 2 * space.macs(mask)
        else:
            weights = {group.name for group in space.groups}
            nonzero = {
                n: int(p.count_nonzero()) if n in weights else p.numel() for n, p in extracted.named_parameters()
            }
            assert sum(nonzero.values()) == space.params(mask)
            # Of one image, every kept weight adds its share of the dense layer's MACs.
            assert space.macs(mask) <= count(extracted, image)[1]
        assert space.cost(mask.double()).item() == space.exact_cost(mask)
        assert space.cost(mask.float()).dtype == torch.float32
    assert count(model, image) == (space.params(torch.ones(space.n)), space.macs(torch.ones(space.n)))


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("kind", ["params", "macs"])
def test_the_derivative_of_the_cost_is_its_difference(granularity: str, kind: str) -> None:
    """The cost is affine in every single unit, so one unit's derivative is the exact cost of switching it on."""
    space = networks.space("Residual", granularity, kind)
    mask = networks.random_mask(space, 0)
    a = mask.double().requires_grad_()
    space.cost(a).backward()
    assert a.grad is not None
    for unit in range(space.n):
        on, off = mask.clone(), mask.clone()
        on[unit], off[unit] = True, False
        assert a.grad[unit].item() == space.exact_cost(on) - space.exact_cost(off)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_the_relaxed_cost_interpolates(granularity: str) -> None:
    space = networks.space("TwoConvolutions", granularity)
    a = torch.full((space.n,), 0.5, dtype=torch.float64)
    halves = {"channel": (18 + 2) / 2 + 54 / 4 + 6 / 2 + 6 / 2 + 2, "weight": 78 / 2 + 10}
    assert space.cost(a).item() == halves[granularity]
    assert torch.autograd.gradcheck(space.cost, torch.rand(space.n, dtype=torch.float64, requires_grad=True))


def test_flat_vectors_and_groups() -> None:
    space = networks.space("TwoConvolutions", "channel")
    flat = torch.arange(5.0)
    parts = space.unflatten(flat)
    assert {name: part.tolist() for name, part in parts.items()} == {"first": [0, 1], "second": [2, 3, 4]}
    assert torch.equal(space.flatten(dict(reversed(parts.items()))), flat)
    assert flat[space.offsets["second"]].tolist() == [2, 3, 4]


def test_widths_out_of_range_are_refused() -> None:
    with pytest.raises(BenchError, match="group second keeps 4 units; expected 1 to 3"):
        kept(channels("TwoConvolutions"), first=1, second=4)
    with pytest.raises(BenchError, match="group first keeps 0 units"):
        kept(channels("TwoConvolutions"), second=1)


def test_unknown_granularity_and_cost() -> None:
    model, image = networks.network("Residual"), networks.example("Residual")
    with pytest.raises(BenchError, match="unknown granularity 'chanel'; did you mean 'channel'"):
        build_space(model, image, "chanel")
    with pytest.raises(BenchError, match="cost: 'flops' is unknown; expected one of params, macs"):
        build_space(model, image, "weight", "flops")


def test_a_network_without_units_is_refused() -> None:
    with pytest.raises(BenchError, match="no unit that could be pruned"):
        build_space(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), torch.zeros(1, 1, 2, 2), "channel")
