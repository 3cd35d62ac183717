"""Networks that do something at a place among the channels: no choice of units to try may let that pass."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from benchmark.space import ChannelSpace

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.double)


class Net(nn.Module):
    """Two convolutions, of which the second, called `name`, gives as many channels as it is told."""

    def __init__(self, name: str, width: int, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.name, self.between = name, between
        self.add_module(name, nn.Conv2d(6, width, 3, padding=1))
        self.fc = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.between(self.get_submodule(self.name)(self.first(x).relu()).relu()).mean((2, 3)))


def check_cuts(network: nn.Module, share: float) -> None:
    """Assert that for some masks of that share the smaller network computes what the masked one does."""
    space = ChannelSpace(network, IMAGES[:1])
    draws = torch.Generator().manual_seed(1)
    for _ in range(8):
        mask = space.project(torch.rand(space.n, generator=draws), share)
        cut = space.extract(network, space.architecture(mask))(IMAGES)
        masked = space.run(network, dict(network.named_parameters()), mask.double(), IMAGES)
        torch.testing.assert_close(cut, masked, rtol=1e-9, atol=1e-9)


PLACES: dict[str, Callable[[Tensor], Tensor]] = {
    "halves exchanged": lambda y: torch.cat(y.chunk(2, 1)[::-1], 1),
    "rolled by one": lambda y: y.roll(1, 1),
    "rolled by half": lambda y: y.roll(y.shape[1] // 2, 1),
    "last one first": lambda y: torch.cat([y[:, -1:], y[:, :-1]], 1),
    "last one turned": lambda y: torch.cat([y[:, :-1], -y[:, -1:]], 1),
    "first one turned": lambda y: torch.cat([-y[:, :1], y[:, 1:]], 1),
    "ends scaled": lambda y: torch.cat([2 * y[:, :1], y[:, 1:-1], 3 * y[:, -1:]], 1),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("width", [4, 16, 24])
def test_what_happens_at_a_place_is_noticed_whatever_the_layer_is_called(place: str, width: int) -> None:
    for name in ("b", "conv2", "body", "layer_7"):
        torch.manual_seed(0)
        network = Net(name, width, PLACES[place]).double().eval()
        check_cuts(network, share=0.5)


class Coupling(nn.Module):
    """The halves of a layer's channels, of which one is gated by what the other gives."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.first, self.name = nn.Conv2d(3, 6, 3, padding=1), name
        self.add_module(name, nn.Conv2d(6, 16, 3, padding=1))
        self.gate, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        given, gated = self.get_submodule(self.name)(self.first(x).relu()).relu().chunk(2, 1)
        return self.fc(torch.cat([given, gated * self.gate(given).sigmoid()], 1).mean((2, 3)))


@pytest.mark.parametrize("name", ["b", "body", "conv2", "layer_7"])
def test_halves_of_a_chunk_are_not_cut_apart(name: str) -> None:
    network = Coupling(name).double().eval()
    check_cuts(network, share=0.6)
