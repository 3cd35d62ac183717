"""Interpolation along channels by hand, and that mixed filters give mixed maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import CLASSES, Residual, space_of, vgg
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.pruning.interpolation import Interpolation, mixture, resampling


def test_resampling_by_hand() -> None:
    assert resampling(2, 4).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    # Windows 0 to 2 and 1 to 3.
    assert resampling(3, 2).tolist() == [[0.5, 0.5, 0], [0, 0.5, 0.5]]


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12))
def test_a_row_averages_its_window(wanted: int, width: int) -> None:
    matrix = resampling(width, wanted)
    for row in range(wanted):
        start, stop = row * width // wanted, -(-(row + 1) * width // wanted)
        expected = torch.zeros(width)
        expected[start:stop] = 1 / (stop - start)
        torch.testing.assert_close(matrix[row], expected)


def test_a_mixture_by_hand() -> None:
    found = mixture(4, [1, 2], torch.tensor([0.25, 0.75]))
    assert found.tolist() == [[1, 0, 0, 0], [0.25, 0.75, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9))
def test_one_width_is_no_mixture(size: int, width: int) -> None:
    assert torch.equal(mixture(size, [min(size, width)], torch.ones(1)), torch.eye(size))


def test_a_mixture_has_the_gradient_of_finite_differences() -> None:
    shares = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: mixture(5, [2, 4], given), (shares,))


def test_mixed_filters_give_mixed_maps_in_a_residual_sum() -> None:
    net = Residual()
    stream = mixture(4, [1, 3], torch.tensor([0.4, 0.6]))
    branch = mixture(2, [1, 2], torch.tensor([0.5, 0.5]))
    state = dict(net.state_dict())
    found = Interpolation(space_of(Residual, "channel")).mixed(state, {"stem": stream, "inner": branch})
    assert found["head.weight"] is state["head.weight"] and found["outer.bias"] is state["outer.bias"]
    images = torch.randn(2, 1, 8, 8)
    stem = F.conv2d(images, found["stem.weight"], padding=1)
    torch.testing.assert_close(stem, torch.einsum("ou,nuhw->nohw", stream, net.stem(images)))
    inner = F.conv2d(stem, found["inner.weight"], padding=1)
    torch.testing.assert_close(inner, torch.einsum("ou,nuhw->nohw", branch, net.inner(stem)))
    # The layer at the end of the branch gives into the same sum, its bias that of the place.
    outer = F.conv2d(inner, found["outer.weight"])
    torch.testing.assert_close(
        outer, torch.einsum("ou,nuhw->nohw", stream, F.conv2d(inner, state["outer.weight"])), rtol=1e-4, atol=1e-5
    )


class Grouped(nn.Module):
    """One group of 3 units, each two channels that a grouped convolution reads together."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))


def test_a_unit_of_several_channels_is_mixed_channel_by_channel() -> None:
    space = space_of(Grouped, "channel")
    assert space.sizes == [3]
    weight = torch.arange(54.0).view(6, 1, 3, 3)
    state = {name: tensor.clone() for name, tensor in Grouped().state_dict().items()} | {"first.weight": weight}
    swapped = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    found = Interpolation(space).mixed(state, {space.groups[0].name: swapped})
    assert torch.equal(found["first.weight"], weight[[2, 3, 0, 1, 4, 5]])


@pytest.mark.parametrize("granularity", ["channel", "block+channel"])
def test_no_mixture_leaves_the_state_as_it_is(granularity: str) -> None:
    space = space_of(vgg, granularity)
    state = vgg().state_dict()
    identity = {group.name: torch.eye(group.size) for group in space.groups if "block" not in group.name}
    found = Interpolation(space).mixed(state, identity)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(found[name], tensor)


def test_the_layout_of_the_weights_does_not_matter() -> None:
    state = {name: torch.randn_like(tensor) for name, tensor in Residual().state_dict().items()}
    mixtures = {"stem": mixture(4, [1, 3], torch.tensor([0.4, 0.6])), "inner": mixture(2, [1, 2], torch.ones(2) / 2)}
    interpolation = Interpolation(space_of(Residual, "channel"))
    expected = interpolation.mixed(state, mixtures)
    last = {n: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for n, t in state.items()}
    for name, tensor in interpolation.mixed(last, mixtures).items():
        torch.testing.assert_close(tensor, expected[name])
