import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models

from benchmark.errors import BenchError
from benchmark.studies.zoo import network
from benchmark.studies.zoo.choices import FAMILIES, LARGE, Entry, named, zoo


class Picky(nn.Module):
    """Takes images of at least `least` pixels, and keeps those that it saw."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.25)
        self.scale = nn.Parameter(torch.full((5,), 1e-6))
        self.token = nn.Parameter(torch.zeros(1, 2, 3))
        self.head = nn.Linear(3, 2)
        nn.init.normal_(self.head.weight, std=1e-5)
        nn.init.zeros_(self.head.bias)
        self.least = least

    def forward(self, x: Tensor) -> dict[str, object]:
        if x.shape[-1] < self.least:
            raise RuntimeError("too small\nfor me")
        return {"out": [self.head(self.drop(self.norm(x).mean((2, 3))))], "index": torch.arange(3)}


def build(monkeypatch: pytest.MonkeyPatch, least: int) -> tuple[nn.Module, int]:
    monkeypatch.setattr(network, "build_large_model", lambda description: Picky(least))
    return network.prepared("timm:picky")


def test_the_smallest_input_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(monkeypatch, 1)[1] == 64
    assert build(monkeypatch, 100)[1] == 112
    with pytest.raises(BenchError, match="takes no square input of 64 to 512 pixels: RuntimeError: too small"):
        build(monkeypatch, 1000)


def test_nothing_is_left_to_chance_or_at_its_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = build(monkeypatch, 1)
    assert isinstance(model, Picky)
    assert (model.drop.p, model.attention.dropout, model.training) == (0.0, 0.0, False)
    for name, tensor in model.state_dict().items():
        assert not tensor.is_floating_point() or float(tensor.std()) > 1e-3, name
    assert float(model.norm.running_var.min()) >= 0.5
    assert float(model.scale.detach().min()) >= 0.2
    again, _ = build(monkeypatch, 1)
    torch.testing.assert_close(again.token, model.token, rtol=0, atol=0)


class Chain(nn.Module):
    """Norms that run in another order than they are registered in; the first runs once more at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.unused = nn.BatchNorm2d(3)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        x = 100 + x * torch.tensor([7.0, 1.0, 0.0]).view(3, 1, 1)  # the last channel is constant
        middle = 50 * self.first(x).square()
        self.seen = [x, middle]
        return self.first(self.second(middle))


@torch.no_grad()
def test_running_statistics_are_those_of_the_images_in_the_order_of_execution() -> None:
    model = Chain()
    network.randomise(model, network.images(8))
    assert not model.training
    model(network.images(8))
    for norm, x in zip((model.first, model.second), model.seen, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        # The constant channel's variance is 0, and becomes this share of the average one.
        floor = 0.05 * variance.mean()
        assert float(variance[2]) < floor
        ratio = norm.running_var / variance.clamp(min=floor)
        assert ratio.min() >= 0.8 and ratio.max() <= 1.25 and ratio.std() > 1e-3
        shift = (norm.running_mean - mean) / variance.clamp(min=floor).sqrt()
        assert 1e-3 < float(shift.abs().max()) < 0.4
    assert model.unused.running_var is not None and model.unused.running_var.tolist() == [1, 1, 1]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_outputs_are_all_numbers_of_a_result() -> None:
    one, two, index = torch.ones(1), torch.ones(2), torch.arange(3)
    assert network.outputs((one, None, {"a": [two, index]})) == [one, two]


def test_the_zoo_holds_every_classifier_of_torchvision_and_every_family_of_timm() -> None:
    entries = zoo()
    ours = [entry.name for entry in entries]
    expected = [f"torchvision:{name}" for name in torchvision_models.list_models(module=torchvision_models)]
    assert ours[: len(expected)] == expected
    assert {entry.family for entry in entries[len(expected) :]} == set(timm.list_modules()) == set(FAMILIES)
    assert len(set(ours)) == len(ours)
    assert set(ours) >= LARGE
    for family, name in FAMILIES.items():
        assert timm.model_entrypoint(name).__module__ == f"timm.models.{family}"
    assert zoo("timm") == entries[len(expected) :]


def test_a_family_without_a_choice_is_served_by_its_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "list_modules", lambda: ["convit"])
    monkeypatch.delitem(FAMILIES, "convit")
    assert zoo("timm") == [Entry("timm:convit_tiny", "convit")]


def test_named_networks_know_their_family_and_wrong_names_are_told() -> None:
    assert named(["timm:deit_small_patch16_224", "torchvision:vit_b_16", "timm:deit_small_patch16_224"]) == [
        Entry("timm:deit_small_patch16_224", "deit"),
        Entry("torchvision:vit_b_16", "vision_transformer"),
    ]
    assert named(["own:vgg16"]) == [Entry("own:vgg16", "vgg16")]
    for name in ("timm:deit_smal_patch16_224", "torchvision:vit", "vit_b_16", "other:vit"):
        with pytest.raises(BenchError, match="--models"):
            named([name])
    with pytest.raises(BenchError, match="--library: unknown library 'keras'"):
        zoo("keras")
