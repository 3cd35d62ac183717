"""Gates of one channel couple nothing: the maps that they scale are cut channel by channel."""

from collections.abc import Callable

import networks
import pytest
import torch
from coupled import Hidden
from torch import Tensor, nn

from benchmark.space import ChannelSpace

IMAGE = torch.zeros(1, 1, 4, 4)


class Gated(Hidden):
    """Four channels, scaled place by place by one gate; `how` says how the gate is spread over them."""

    def __init__(self, how: Callable[[Tensor, Tensor], Tensor], gates: int = 1) -> None:
        super().__init__()
        self.how = how
        self.gate = nn.Conv2d(4, gates, 1)

    def between(self, x: Tensor) -> Tensor:
        return self.how(x, self.gate(x).sigmoid())


class BothGates(Hidden):
    """Squeeze and excitation of channels and of places, added up."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.expand, self.places = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(4, 1, 1, bias=False)

    def between(self, x: Tensor) -> Tensor:
        channels = self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x * channels + x * self.places(x).sigmoid()


class AttentionGate(Hidden):
    """A skipped map is gated by what it and a deeper map say together."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Conv2d(4, 5, 1)
        self.left, self.right = nn.Conv2d(4, 3, 1), nn.Conv2d(5, 3, 1)
        self.say, self.norm = nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1)

    def between(self, x: Tensor) -> Tensor:
        deep = self.deep(x).relu()
        return x * self.norm(self.say((self.left(x) + self.right(deep)).relu())).sigmoid()


class Pooled(nn.Module):
    """Tokens are summed by weights of one channel, by a product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.score, self.head = nn.Conv2d(1, 4, 1), nn.Linear(4, 1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        return self.head((self.score(tokens).softmax(1).transpose(1, 2) @ tokens).squeeze(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, int], str]] = {
    "broadcast": (lambda: Gated(lambda x, gate: x * gate), {"stem": 4, "hidden": 3}, "gate"),
    "in place": (lambda: Gated(lambda x, gate: x.mul_(gate)), {"stem": 4, "hidden": 3}, "gate"),
    "expanded": (lambda: Gated(lambda x, gate: gate.expand_as(x) * x), {"stem": 4, "hidden": 3}, "gate"),
    "repeated": (lambda: Gated(lambda x, gate: gate.repeat(1, x.shape[1], 1, 1) * x), {"stem": 4, "hidden": 3}, "gate"),
    "mean": (lambda: Gated(lambda x, gate: x * gate.mean((2, 3), True) + x), {"stem": 4, "hidden": 3}, "gate"),
    "two gates": (lambda: Gated(lambda x, g: x * g[:, :1] + x * g[:, 1:], 2), {"stem": 4, "hidden": 3}, "gate"),
    "scSE": (BothGates, {"stem": 4, "reduce": 2, "hidden": 3}, "places"),
    "attention gate": (AttentionGate, {"stem": 4, "deep": 5, "left": 3, "hidden": 3}, "say"),
    "pooled": (Pooled, {"stem": 4}, "score"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_that_a_gate_scales_are_cut_one_by_one(name: str) -> None:
    torch.manual_seed(0)
    make, groups, gate = NETWORKS[name]
    space = networks.exact(make(), IMAGE)
    assert space.graph.groups == groups
    assert "is one channel that" in space.graph.whole[gate]


def test_a_gate_per_head_goes_with_its_head() -> None:
    class Heads(nn.Module):
        heads = 2

        def __init__(self) -> None:
            super().__init__()
            self.values, self.gate, self.head = nn.Linear(16, 6), nn.Linear(16, 2), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            values = self.values(x).view(len(x), self.gate.out_features, 3)
            return self.head((values * self.gate(x)[..., None]).flatten(1))

    found = ChannelSpace(Heads(), IMAGE).graph
    assert found.groups == {"values": 2}
    assert found.dims["values.weight"][0].tolist() == [0, 0, 0, 1, 1, 1]
    assert found.dims["gate.weight"][0].tolist() == [0, 1]
