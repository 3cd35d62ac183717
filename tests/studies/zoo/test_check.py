from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import BenchError
from benchmark.space import ChannelSpace
from benchmark.studies.zoo import check as module
from benchmark.studies.zoo.check import Row, check
from benchmark.studies.zoo.network import images, randomise


class Net(nn.Module):
    def __init__(self, chance: float = 0.0) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 16, 3, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.two = nn.Conv2d(16, 32, 3)
        self.head = nn.Linear(32, 10)
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.one(x)).relu()
        x = F.dropout(self.two(x).relu(), self.chance, self.training)
        return self.head(x.mean((2, 3)))


class Shared(nn.Module):
    """One module under two names that runs by both, and one parameter in two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.one = nn.Conv2d(16, 16, 1)
        self.same = self.one
        self.wide, self.tied = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)
        self.tied.weight = self.wide.weight
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.same(self.one(self.stem(x).relu()).relu()).relu()
        return self.head(self.tied(self.wide(x).relu()).relu().mean((2, 3)))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Row]:
    """Check a small network instead of one of a library."""

    def run(net: nn.Module | None = None) -> Row:
        net = net or Net()
        randomise(net, images(8))
        monkeypatch.setattr(module, "prepared", lambda _name: (net.eval(), 8))
        return check("timm:net", "net")

    return run


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("torchvision:resnet18", "resnet"),
        ("torchvision:mobilenet_v3_small", "mobilenetv3"),
        ("torchvision:squeezenet1_1", "squeezenet"),
        ("timm:vit_tiny_patch16_224", "vision_transformer"),
    ],
)
def test_networks_of_the_libraries_are_served(name: str, family: str) -> None:
    row = check(name, family)
    assert (row["model"], row["family"], row["status"], row["reason"]) == (name, family, "ok", "")
    assert row["share"] is not None
    assert row["share"] >= 0.9
    assert row["input"] == 64


def test_a_row_says_what_was_done(checked: Callable[..., Row]) -> None:
    row = checked()
    assert set(row) == set(Row.__annotations__)
    # 3*16*9 + 2*16 + 16*32*9 + 32 + 32*10 + 10; and 36 and 16 positions of the convolutions
    assert (row["params"], row["macs"]) == (5434, 3 * 16 * 9 * 36 + 16 * 32 * 9 * 16 + 320)
    # only the ten biases of the last layer belong to no group
    assert (row["groups"], row["units"], row["share"]) == (2, 48, round(5424 / 5434, 4))
    assert row["minimum"] == round((27 + 2 + 9 + 1 + 10 + 10) / 5434, 6)
    half, tenth, fiftieth = row["complexities"]
    assert 0.45 < half <= 0.5 and 0.07 < tenth <= 0.1 and 0.011 < fiftieth <= 0.02
    assert (row["status"], row["reason"], row["note"], row["wrong"], row["costs"]) == ("ok", "", "", False, True)
    assert row["effect"] is not None and row["effect"] > 0.01
    assert all(error is not None for error in row["errors"].values())


def test_an_architecture_below_the_smallest_is_the_smallest(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGETS", (0.5, 0.005, 0.001))
    row = checked()
    assert row["complexities"][1:] == [row["minimum"]]


@pytest.mark.parametrize(
    ("name", "kind"), [("head.bias", "float64"), ("norm.running_mean", "statistics"), ("one.weight", "gradient")]
)
def test_a_number_that_differs_is_found(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    proper = ChannelSpace.extract

    def spoiled(self: ChannelSpace, *arguments: object) -> nn.Module:
        network = proper(self, *arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            network.state_dict()[name].view(-1)[0].add_(1e-3)
        return network

    monkeypatch.setattr(ChannelSpace, "extract", spoiled)
    row = checked()
    assert (row["status"], row["wrong"]) == ("refused", True)
    assert f"{kind}: error" in row["reason"]


@pytest.mark.parametrize("cost", ["params", "macs"])
def test_a_cost_that_differs_is_found(checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch, cost: str) -> None:
    proper = getattr(ChannelSpace, cost)
    monkeypatch.setattr(ChannelSpace, cost, lambda self, mask: proper(self, mask) + 1)
    row = checked()
    assert (row["status"], row["wrong"], row["costs"]) == ("refused", True, False)
    assert "counted differently" in row["reason"]


def test_modules_with_two_names_and_shared_parameters_are_compared(checked: Callable[..., Row]) -> None:
    net = Shared()
    tensors = {name: id(parameter) for name, parameter in net.named_parameters(remove_duplicate=False)}
    row = checked(net)
    assert (row["status"], row["reason"], row["note"], row["costs"]) == ("ok", "", "", True)
    assert row["groups"] == 1  # all 16 channels are one group
    assert {name: id(parameter) for name, parameter in net.named_parameters(remove_duplicate=False)} == tensors


def test_a_buffer_outside_the_state_is_not_compared(checked: Callable[..., Row]) -> None:
    net = Net()
    net.register_buffer("kernel", torch.ones(3), persistent=False)
    row = checked(net)
    assert row["status"] == "ok" and row["errors"]["statistics"] is not None


def test_infinite_buffers_that_are_equal_do_not_differ() -> None:
    one, other = torch.tensor([float("inf"), 1.0]), torch.tensor([float("inf"), 3.0])
    assert module._relative(one, one, 1.0) == 0
    assert module._relative(one, other, 4.0) == 0.5
    assert module._relative(one, -one, 1.0) == module.DISAGREE


def test_a_failure_after_the_space_was_built_is_wrong(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> nn.Module:
        raise RuntimeError("shape mismatch\nsomewhere")

    monkeypatch.setattr(ChannelSpace, "extract", fails)
    row = checked()
    assert (row["status"], row["wrong"], row["reason"]) == ("refused", True, "RuntimeError: shape mismatch")


def test_a_network_without_a_space_is_refused_with_the_space_s_words(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_arguments: object) -> ChannelSpace:
        raise BenchError("Net: torch.roll moves channels")

    monkeypatch.setattr(module, "build_space", refuses)
    row = checked()
    assert (row["status"], row["wrong"], row["reason"]) == ("refused", False, "Net: torch.roll moves channels")
    assert row["params"] == 5434


def test_a_network_of_which_too_little_is_in_groups_is_refused(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARE", 1.5)
    described(
        monkeypatch,
        "layer norm in stages.0.norm mixes them",
        "layer norm in stages.1.blocks.7.norm2 mixes them",
        *3 * ["cannot be cut: `x.reshape(B, N, C)` in net.py (invalid for size 3)"],
        "runs through roll",
        "runs through sort",
    )
    row = checked()
    assert (row["status"], row["wrong"]) == ("refused", False)
    assert row["reason"] == (
        "only 100% of the parameters lie in groups. Left whole: "
        "cannot be cut: `x.reshape(B, N, C)` in net.py (3); layer norm mixes them (2); runs through roll (1)"
    )


def test_pruning_that_changes_nothing_is_no_comparison(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EFFECT", 1e6)
    row = checked()
    assert row["wrong"]
    assert "nothing was compared" in row["reason"]


def test_a_training_step_with_chance_in_it_is_not_compared(checked: Callable[..., Row]) -> None:
    row = checked(Net(chance=0.5))
    assert row["status"] == "ok"
    assert row["errors"]["gradient"] is None
    assert row["note"] == "no training step: its forward pass draws random numbers"


def described(monkeypatch: pytest.MonkeyPatch, *reasons: str) -> None:
    """Let the spaces that are built leave one more group whole for each of these reasons."""
    proper = module.build_space

    def build(*arguments: object) -> ChannelSpace:
        space = proper(*arguments)  # type: ignore[arg-type]
        assert isinstance(space, ChannelSpace)
        space.graph = replace(space.graph, whole={str(place): reason for place, reason in enumerate(reasons)})
        return space

    monkeypatch.setattr(module, "build_space", build)


def test_reasons_that_differ_by_places_and_sizes_only_are_one(
    checked: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    described(
        monkeypatch,
        "layer norm in blocks.0.norm1 mixes them",
        "layer norm in blocks.11.norm1 mixes them",
        "cannot be cut: `x.view(2)` in net.py (shape [1, 2] (of 3))",
        "runs through roll in stages.3",
    )
    assert checked()["whole"] == [
        {"reason": "layer norm in blocks.#.norm1 mixes them", "groups": 2},
        {"reason": "cannot be cut: `x.view(2)` in net.py", "groups": 1},
        {"reason": "runs through roll in stages.#", "groups": 1},
    ]
