"""What admission must notice, what counting must count, and what is said of channels that stay whole."""

from collections.abc import Callable

import pytest
import torch
from coupled import Hidden
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.space import ChannelSpace, build_space, count
from benchmark.space.graph.dependencies import trace
from benchmark.space.surgery.channel_check import _kept, admitted

IMAGE = torch.zeros(1, 1, 4, 4)


class Centred(Hidden):
    """Mixes its channels while it trains only."""

    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True) if self.training else x


class Chance(Centred):
    def between(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().between(x), 0.5, self.training)


class Contracted(nn.Module):
    """Six hidden units from a sum over three channels: 4 positions * 3 * 6 products."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 2, 2)
        self.mix = nn.Parameter(torch.randn(6, 3))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.einsum("nchw, kc -> nkhw", self.stem(x), self.mix).relu().mean((2, 3)))


class Asked(nn.Module):
    """Attention of the library to four tokens, with a mask, or whose weights are used."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.embed = nn.Linear(4, 6)
        self.attention = nn.MultiheadAttention(6, 3, batch_first=True)
        self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x[:, 0])
        mask = torch.ones(4, 4).triu(1).bool() if self.masked else None
        x, weights = self.attention(x, x, x, attn_mask=mask)
        if not self.masked:
            x = weights.transpose(1, 2) @ x
        return self.head(self.hidden(x.mean(1)).relu())


class GroupedUp(Hidden):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 4, 2, groups=2)

    def between(self, x: Tensor) -> Tensor:
        return self.up(x)


class Uneven(nn.Module):
    """Of three channels the second is read once more."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(torch.cat([x, x[:, 1:2]], 1).mean((2, 3)))


def test_groups_of_one_size_lose_different_shares() -> None:
    counts = {int(_kept(32, place, torch.Generator().manual_seed(0))[0].sum()) for place in range(8)}
    assert len(counts) > 4 and min(counts) >= 1 and max(counts) < 32


def test_a_network_that_mixes_channels_while_it_trains_is_noticed() -> None:
    model = Centred().eval()
    found = admitted(model, IMAGE, trace(model, IMAGE))
    assert found.groups == {"hidden": 3}
    assert found.whole["stem"].startswith("cutting its channels is not masking them in training mode (outputs differ")
    assert not model.training


def test_training_that_draws_random_numbers_is_compared_with_equal_ones() -> None:
    before = torch.random.get_rng_state()
    model = Chance()
    torch.random.set_rng_state(before)
    found = admitted(model, IMAGE, trace(model, IMAGE))
    assert found.groups == {"hidden": 3}
    assert found.whole["stem"].startswith("cutting its channels is not masking them in training mode (outputs differ")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_einsum_over_one_channel_counts() -> None:
    model = Contracted()
    space = build_space(model, IMAGE, "channel")
    assert {group.name: group.size for group in space.groups} == {"stem": 3, "mix": 6}
    assert isinstance(space, ChannelSpace)
    for channels, units in [(3, 6), (1, 6), (1, 1), (2, 1)]:
        mask = space.mask_of_kept({"stem": channels, "mix": units})
        assert space.macs(mask) == 4 * 4 * channels + 4 * channels * units + 2 * units
        assert count(space.extract(model, space.architecture(mask)), IMAGE)[1] == space.macs(mask)


def test_an_outer_product_is_no_product_of_matrices() -> None:
    class Outer(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("nchw,nchv->nchwv", x, x) * torch.einsum("nchw,nchw->nchw", x, x)[..., None]

    assert count(Outer(), IMAGE)[1] == 0


def test_a_vector_times_a_matrix_is_a_product_though_pytorchs_counter_skips_it() -> None:
    class Vectors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix, self.vector = nn.Parameter(torch.randn(5, 16)), nn.Parameter(torch.randn(5))

        def forward(self, x: Tensor) -> Tensor:
            return (self.matrix.mv(x.flatten())).dot(self.vector)[None]

    model = Vectors()
    assert count(model, IMAGE)[1] == 5 * 16 + 5
    skipped = {
        torch.ops.aten.mv: lambda left, _right, **_: 2 * left[0] * left[1],
        torch.ops.aten.dot: lambda left, _right, **_: 2 * left[0],
    }
    for mapping, flops in (({}, 0), (skipped, 2 * 85)):
        with FlopCounterMode(display=False, custom_mapping=mapping) as counter, torch.no_grad():
            model(IMAGE)
        assert counter.get_total_flops() == flops


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_costs_are_those_of_one_image_however_many_are_shown(granularity: str) -> None:
    one, three = (build_space(Hidden(), IMAGE.expand(many, 1, 4, 4), granularity) for many in (1, 3))
    assert one.groups == three.groups
    everything = torch.ones(one.n)
    assert one.macs(everything) == three.macs(everything) == count(Hidden(), IMAGE.expand(3, 1, 4, 4))[1]


@pytest.mark.parametrize("made_inside", [False, True])
def test_inference_mode_hides_nothing(made_inside: bool) -> None:
    expected = build_space(Hidden(), IMAGE, "channel")
    outside = Hidden()
    with torch.inference_mode():
        model, image = Hidden() if made_inside else outside, torch.zeros(1, 1, 4, 4)
        space = build_space(model, image, "channel")
        assert count(model, image) == count(outside, IMAGE) == (expected.total, expected.macs(torch.ones(expected.n)))
    assert (space.digest, space.total) == (expected.digest, expected.total)
    a = torch.rand(space.n, requires_grad=True)
    gated = space.gate(dict(outside.named_parameters()), a)
    sum(tensor.sum() for tensor in gated.values()).backward()
    assert a.grad is not None


@pytest.mark.parametrize(
    ("network", "group", "reason"),
    [
        (lambda: Asked(True), "attention.in_proj_weight", "runs through attention with a mask, which has no form"),
        (lambda: Asked(False), "attention.in_proj_weight", "runs through attention, whose attention weights are used"),
        (GroupedUp, "stem", "runs through a grouped transposed convolution in up"),
        (Uneven, "stem:2", "is coupled like no other channel: none else is cut from the same dimensions"),
    ],
)
def test_reasons(network: Callable[[], nn.Module], group: str, reason: str) -> None:
    assert trace(network(), IMAGE).whole[group].startswith(reason)
