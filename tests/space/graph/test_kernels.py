"""Convolutions whose kernel is no parameter: a buffer, in the state or not, or something computed."""

import json
from collections.abc import Callable

import networks
import pytest
import torch
from coupled import Hidden, Standardised, StandardisedConvolution
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import BenchError
from benchmark.models.loader import apply_changes
from benchmark.space import ChannelSpace, build_space, count
from benchmark.space.graph.dependencies import trace
from benchmark.space.surgery.mask_and_cut import run

IMAGE = torch.zeros(1, 1, 4, 4)


class Blur(nn.Module):
    """A fixed filter of its own for every channel, at every other place."""

    kernel: Tensor

    def __init__(self, channels: int, persistent: bool) -> None:
        super().__init__()
        self.channels, self.filt_size = channels, 3
        self.register_buffer("kernel", torch.arange(9.0 * channels).view(channels, 1, 3, 3), persistent)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, stride=2, padding=1, groups=self.channels)


class Blurred(nn.Module):
    """Four channels on a map of 4x4, blurred to 2x2, three channels."""

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.blur = Blur(4, persistent)
        self.second = nn.Conv2d(4, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.blur(self.first(x).relu())).relu().mean((2, 3)))


class Branched(nn.Module):
    """Two residual branches, with a blur in each whose result is added at the size of the map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2, 4, 1), Blur(4, False), nn.Upsample(scale_factor=2), nn.Conv2d(4, 2, 1))
            for _ in range(2)
        )
        self.head = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.head(x.mean((2, 3)))


class FixedMixture(Hidden):
    """Reads all channels with one kernel that does not train."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.ones(4, 4, 1, 1))

    def between(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel)


class Direct(nn.Module):
    """Nothing but convolutions that compute their kernels, and a head."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, StandardisedConvolution(4, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))


class Generated(nn.Module):
    """A kernel made of the image."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, x.mean((0, 2, 3)).expand(4, 1, 1, 1))


def blurred(persistent: bool) -> tuple[Blurred, ChannelSpace]:
    torch.manual_seed(0)
    model = Blurred(persistent).eval()
    space = build_space(model, IMAGE, "channel")
    assert isinstance(space, ChannelSpace)
    return model, space


@pytest.mark.parametrize("persistent", [False, True])
def test_a_blur_is_cut_with_its_channels(persistent: bool) -> None:
    model, space = blurred(persistent)
    assert {group.name: group.size for group in space.groups} == {"first": 4, "second": 3}
    mask = torch.tensor([True, False, False, True, False, True, True])
    extracted = space.extract(model, space.architecture(mask))
    blur = extracted.get_submodule("blur")
    assert isinstance(blur, Blur)
    assert torch.equal(blur.kernel, model.blur.kernel[[0, 3]])
    assert (blur.channels, blur.filt_size) == (2, 3)
    assert ("blur.kernel" in extracted.state_dict()) == persistent
    assert model.blur.kernel.shape == (4, 1, 3, 3) and model.blur.channels == 4


@pytest.mark.parametrize("persistent", [False, True])
def test_a_blur_by_hand(persistent: bool) -> None:
    model, space = blurred(persistent)
    # The kernel is no parameter; 9 taps at 16 positions, and at 4 for the blur and what follows it.
    for first, second in [(4, 3), (2, 3), (1, 1), (3, 2)]:
        mask = space.mask_of_kept({"first": first, "second": second})
        assert space.params(mask) == (9 + 1) * first + (9 * first + 1) * second + 2 * second + 2
        assert space.macs(mask) == 16 * 9 * first + 4 * 9 * first + 4 * 9 * first * second + 2 * second
        assert count(space.extract(model, space.architecture(mask)), IMAGE) == (space.params(mask), space.macs(mask))


@pytest.mark.parametrize("persistent", [False, True])
def test_masked_and_extracted_agree_behind_a_blur(persistent: bool) -> None:
    model, space = blurred(persistent)
    model = model.double()
    images = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    for seed in range(3):
        mask = networks.random_mask(space, seed)
        masked = run(model, space.gate(dict(model.named_parameters()), mask.double()), images)
        extracted = space.extract(model, space.architecture(mask))
        assert (extracted(images) - masked).abs().max() <= 1e-9 * masked.abs().max()
        # And a fresh network becomes the same by the description.
        fresh = Blurred(persistent).double().eval()
        apply_changes(fresh, json.loads(json.dumps(space.changes(mask))), space.shrink(model.state_dict(), mask))
        assert torch.equal(fresh(images), extracted(images))


def test_a_layer_with_two_names_is_cut_once() -> None:
    model = Blurred(False)
    model.same = model.blur
    space = build_space(model, IMAGE, "channel")
    assert isinstance(space, ChannelSpace)
    mask = space.mask_of_kept({"first": 3, "second": 3})
    blur = space.extract(model, space.architecture(mask)).get_submodule("same")
    assert blur.get_buffer("kernel").shape == (3, 1, 3, 3)


@pytest.mark.parametrize("persistent", [False, True])
def test_single_weights_beside_a_blur(persistent: bool) -> None:
    model = Blurred(persistent)
    space = build_space(model, IMAGE, "weight")
    assert [group.name for group in space.groups] == ["first.weight", "second.weight", "head.weight"]
    a = torch.zeros(space.n)
    a[0] = 1
    # One weight at 16 positions, and the whole blur.
    assert space.macs(a) == 16 + 4 * 9 * 4
    assert (space.total, space.macs(torch.ones(space.n))) == count(model, IMAGE)


def test_a_blur_goes_with_its_block() -> None:
    model = Branched().eval()
    space = build_space(model, IMAGE, "block+channel")
    sizes = {"branches.0": 2, "stem": 2, "branches.0.0": 4, "branches.1.0": 4}
    assert {group.name: group.size for group in space.groups} == sizes
    for one, other in [(1, 1), (1, 0), (0, 1)]:
        mask = torch.tensor([one, other, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0], dtype=torch.bool)
        # One channel of the stem; three and one inside: read at 16 positions, blurred at 4, written at 16.
        inside = [there * (16 * width + 4 * 9 * width + 16 * width) for there, width in ((one, 3), (other, 1))]
        assert space.macs(mask) == 16 + sum(inside) + 2
        assert count(space.extract(model, space.architecture(mask)), IMAGE) == (space.params(mask), space.macs(mask))


def test_a_kernel_that_reads_and_is_no_parameter_cannot_be_masked() -> None:
    model = FixedMixture()
    found = trace(model, IMAGE)
    assert found.groups == {"hidden": 3}
    assert found.whole == {"stem": "runs through a product with the buffer kernel, and only parameters can be masked"}
    assert build_space(model, IMAGE, "channel").macs(torch.ones(3)) == count(model, IMAGE)[1]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (
            lambda: StandardisedConvolution(1, 4, 3, padding=1),
            "runs with a kernel that StandardisedConvolution computes from weight",
        ),
        (Generated, "runs with a kernel that Generated computes"),
    ],
)
def test_computed_kernels_are_named_where_nothing_else_is_left(first: Callable[[], nn.Module], reason: str) -> None:
    model = Direct(first())
    assert trace(model, IMAGE).whole["first"] == reason
    with pytest.raises(
        BenchError, match=r"^Direct: has no unit that could be pruned \((first|second) runs with a kernel"
    ):
        build_space(model, IMAGE, "channel")


def test_computed_kernels_are_not_told_beside_groups() -> None:
    assert trace(Standardised(), IMAGE).whole == {"stem": "runs through a convolution with computed weights in second"}
