"""Copies of networks that PyTorch itself does not copy."""

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune, weight_norm

from benchmark.errors import BenchError
from benchmark.models.copying import copied


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 4), nn.Linear(4, 2)
        self.kept: dict[str, list[Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x).relu()
        self.kept = {"features": [features]}
        return self.last(features)


def test_what_cannot_be_copied_is_told() -> None:
    net = Net()
    net.lock = threading.Lock()
    with pytest.raises(BenchError, match=r"^Net: keeps what cannot be copied \(cannot pickle '_thread.lock' object\)"):
        copied(net)


def normed(net: Net) -> None:
    weight_norm(net.first)


def masked(net: Net) -> None:
    prune.l1_unstructured(net.first, "weight", 0.5)


def used(net: Net) -> None:
    net(torch.rand(3, 6)).sum().backward()


@pytest.mark.parametrize("change", [normed, masked, used])
def test_a_copy_computes_the_same_and_is_its_own(change: Callable[[Net], None]) -> None:
    torch.manual_seed(0)
    net, images = Net(), torch.rand(3, 6)
    change(net)
    copy = copied(net)
    before = net(images)
    assert torch.equal(copy(images), before)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.mul_(2)
    assert not torch.equal(copy(images), before)
    assert torch.equal(net(images), before)
