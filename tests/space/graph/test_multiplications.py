"""Multiply-accumulates counted by hand, whatever operator does them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from benchmark.errors import BenchError
from benchmark.space import ChannelSpace, WeightSpace, build_space, count

IMAGE = torch.zeros(1, 3, 8, 8)


class Rows(nn.Module):
    """A convolution of twelve channels; a recurrent layer reads the eight rows; a hidden layer and five classes."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.rows = layer
        self.hidden = nn.Linear(width, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.conv(x).relu().permute(0, 2, 1, 3).flatten(2)
        return self.head(self.hidden(self.rows(rows)[0][:, -1]).relu())


def recurrent(gates: int, each: int, inputs: int, given_back: int) -> int:
    """Eight steps of a layer and direction: `gates` of `each` units read `inputs` and what was given back before."""
    return 8 * gates * each * (inputs + given_back)


RECURRENT: list[tuple[Callable[[], nn.Module], int, int]] = [
    (lambda: nn.RNN(96, 20, batch_first=True), 20, recurrent(1, 20, 96, 20)),
    (lambda: nn.GRU(96, 20, batch_first=True), 20, recurrent(3, 20, 96, 20)),
    (lambda: nn.LSTM(96, 20, batch_first=True), 20, recurrent(4, 20, 96, 20)),
    (lambda: nn.LSTM(96, 20, 2, batch_first=True), 20, recurrent(4, 20, 96, 20) + recurrent(4, 20, 20, 20)),
    (lambda: nn.LSTM(96, 20, batch_first=True, bidirectional=True), 40, 2 * recurrent(4, 20, 96, 20)),
    # A projection of each step's twenty to six, which are what is given back.
    (lambda: nn.LSTM(96, 20, batch_first=True, proj_size=6), 6, recurrent(4, 20, 96, 6) + 8 * 20 * 6),
]


@pytest.mark.parametrize(("layer", "width", "macs"), RECURRENT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_recurrent_layer_counts_whatever_kernel_runs_it(
    layer: Callable[[], nn.Module], width: int, macs: int, dtype: torch.dtype
) -> None:
    model = Rows(layer(), width).to(dtype)
    expected = 12 * 27 * 64 + macs + width * 16 + 16 * 5
    assert count(model, IMAGE.to(dtype))[1] == expected
    assert build_space(model, IMAGE.to(dtype), "channel", "macs").total == expected
    assert build_space(model, IMAGE.to(dtype), "weight", "macs").total == expected


class Deformed(nn.Module):
    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.offset = nn.Conv2d(3, 18, 3, padding=1)
        self.mask = nn.Conv2d(3, 9, 3, padding=1) if masked else None
        self.deformed = DeformConv2d(3, 6, 3, padding=1)
        self.hidden = nn.Conv2d(6, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        mask = None if self.mask is None else self.mask(x).sigmoid()
        return self.head(self.hidden(self.deformed(x, self.offset(x), mask)).mean((2, 3)))


@pytest.mark.parametrize("masked", [False, True])
def test_a_deformable_convolution_counts_as_a_convolution(masked: bool) -> None:
    expected = (18 + 9 * masked + 6) * 27 * 64 + 6 * 4 * 64 + 4 * 2
    model = Deformed(masked)
    assert count(model, IMAGE)[1] == expected
    space = build_space(model, IMAGE, "channel", "macs")
    assert space.total == expected
    assert [(group.name, group.size) for group in space.groups] == [("hidden", 4)]
    # Without two of the four hidden channels.
    fewer = space.macs(torch.tensor([1, 0, 1, 0]))
    assert fewer == expected - 2 * 6 * 64 - 2 * 2
    assert build_space(model, IMAGE, "weight", "macs").total == expected


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(192, 5), nn.Linear(192, 7)
        self.both = nn.Bilinear(5, 7, 6)
        self.hidden = nn.Linear(6, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.head(self.hidden(self.both(self.one(x), self.two(x))).relu())


class Prototypes(nn.Module):
    """Distances of six hidden features to four prototypes that are computed from a parameter."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.hidden, self.second = nn.Linear(192, 8), nn.Linear(8, 6)
        self.places = nn.Parameter(torch.randn(4, 6))

    def forward(self, x: Tensor) -> Tensor:
        found = self.second(self.hidden(x.flatten(1)).relu())
        return -torch.cdist(found, nn.functional.normalize(self.places), self.p)


def test_a_term_with_three_factors_counts_once() -> None:
    expected = 192 * 12 + 5 * 7 * 6 + 6 * 4 + 4 * 2
    assert count(Pairs(), IMAGE)[1] == expected
    assert build_space(Pairs(), IMAGE, "channel", "macs").total == expected


def test_a_batch_counts_for_one_image() -> None:
    assert count(Deformed(True), torch.zeros(5, 3, 8, 8)) == count(Deformed(True), IMAGE)
    assert count(Pairs(), torch.zeros(5, 3, 8, 8)) == count(Pairs(), IMAGE)


def test_an_operator_that_nobody_knows_and_that_reads_a_weight_is_named() -> None:
    assert count(Prototypes(2), IMAGE)[1] == 192 * 8 + 8 * 6 + 4 * 6
    model = Prototypes(1)
    message = "Prototypes: its MACs cannot be counted, for the operator _cdist_forward reads places"
    with pytest.raises(BenchError, match=message):
        count(model, IMAGE)
    for granularity in ("channel", "weight"):
        with pytest.raises(BenchError, match=message):
            build_space(model, IMAGE, granularity, "macs")
    for space in (ChannelSpace(model, IMAGE), WeightSpace(model, IMAGE)):
        mask = torch.ones(space.n, dtype=torch.bool)
        assert space.params(mask) == 192 * 8 + 8 + 8 * 6 + 6 + 24
        with pytest.raises(BenchError, match=message):
            space.macs(mask)
        assert space.architecture(mask).meta["macs"] is None


class Steps(nn.Module):
    """Two residual branches of width 8, with a recurrent layer or a table of prototypes at the end."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1))
            for _ in range(2)
        )
        self.last = last
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch in self.branches:
            x = x + branch(x)
        found = self.last(x.flatten(2).transpose(1, 2))
        return self.head(found[0][:, -1] if isinstance(found, tuple) else found)


class Near(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.mean(1), self.places, 1.0)


def test_blocks_count_the_same() -> None:
    branch = 64 * (8 * 72 + 8 * 8)
    expected = 64 * 24 + 64 * 4 * 4 * (8 + 4) + 4 * 2
    space = build_space(Steps(nn.LSTM(8, 4, batch_first=True)), IMAGE, "block", "macs")
    assert [space.macs(torch.tensor(kept)) for kept in ([1, 1], [0, 1])] == [expected + 2 * branch, expected + branch]
    space = build_space(Steps(Near()), IMAGE, "block")
    assert space.n == 2
    message = "Steps: its MACs cannot be counted, for the operator _cdist_forward reads last.places"
    with pytest.raises(BenchError, match=message):
        space.macs(torch.ones(2, dtype=torch.bool))
    with pytest.raises(BenchError, match=message):
        build_space(Steps(Near()), IMAGE, "block", "macs")


def test_what_moves_or_scales_a_weight_is_known() -> None:
    class Moved(Prototypes):
        def forward(self, x: Tensor) -> Tensor:
            found = self.second(self.hidden(x.flatten(1)).relu())
            places = torch.zeros_like(self.places).index_copy(0, torch.arange(4), self.places.tril() * 2)
            return found @ nn.functional.pad(places.flip(0), (0, 0, 1, 0)).T

    assert count(Moved(2), IMAGE)[1] == 192 * 8 + 8 * 6 + 5 * 6
