"""Weights from elsewhere: a local file, or what a library publishes; what is told when they cannot be had."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models import build, build_pretrained, check_ref, initialise, pretrained

RESNET = "timm:test_resnet"


def trained(name: str = RESNET, channels: int = 3, classes: int = 5, size: int = 32) -> nn.Module:
    """A network whose every parameter and statistic differs from a fresh one's."""
    module = build(ModelRef(name=name), channels, classes, size)
    initialise(module, 77)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.add_(1)
    return module


def stored(module: nn.Module, path: Path, **changes: Any) -> ModelRef:
    state = module.state_dict() | changes
    save_file({name: tensor.contiguous() for name, tensor in state.items() if tensor is not None}, path)
    return ModelRef(name=RESNET, file=str(path))


def equal(one: dict[str, Tensor], other: dict[str, Tensor], but: str = "none") -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items() if not name.startswith(but))


# A file


@pytest.mark.parametrize("name", [RESNET, "torchvision:resnet18", "own:resnet20"])
def test_a_file_of_the_same_classes_comes_back_whole(name: str, tmp_path: Path) -> None:
    module = trained(name)
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    torch.save(module.state_dict(), tmp_path / "w.pth")
    torch.save({"model": module.state_dict(), "epoch": 3}, tmp_path / "wrapped.pt")
    for file in ("w.safetensors", "w.pth", "wrapped.pt"):
        network, whole = build_pretrained(ModelRef(name=name, file=str(tmp_path / file)), 3, 5, 32)
        assert whole
        assert equal(network.state_dict(), module.state_dict())
    assert equal(build(ModelRef(name=name, file=str(tmp_path / "w.pth")), 3, 5, 32).state_dict(), module.state_dict())


def test_a_classifier_of_other_classes_stays_at_home(tmp_path: Path) -> None:
    module = trained(classes=9)
    network, whole = build_pretrained(stored(module, tmp_path / "w.safetensors"), 3, 5, 32)
    assert not whole
    assert equal(network.state_dict(), module.state_dict(), but="fc.")
    assert equal(dict(network.get_submodule("fc").state_dict()), build(ModelRef(name=RESNET), 3, 5, 32).fc.state_dict())


def test_a_file_without_a_classifier_does_too(tmp_path: Path) -> None:
    ref = stored(trained(), tmp_path / "w.safetensors", **{"fc.weight": None, "fc.bias": None})
    assert not build_pretrained(ref, 3, 5, 32)[1]
    half = stored(trained(), tmp_path / "half.safetensors", **{"fc.bias": None})
    network, whole = build_pretrained(half, 3, 5, 32)
    assert not whole
    assert equal(network.fc.state_dict(), build(ModelRef(name=RESNET), 3, 5, 32).fc.state_dict())


def test_filters_of_three_colours_see_grey_images_as_before(tmp_path: Path) -> None:
    module = trained()
    ref = stored(module, tmp_path / "w.safetensors")
    grey = torch.rand(2, 1, 32, 32)
    expected = module.eval()(grey.expand(-1, 3, -1, -1))
    for channels in (1, 2):
        network = build(ref, channels, 5, 32).eval()
        assert torch.allclose(network(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-4, atol=1e-4)


def test_a_table_of_positions_follows_the_size_of_timm_s_images(tmp_path: Path) -> None:
    save_file(trained("timm:test_vit", size=64).state_dict(), tmp_path / "w.safetensors")
    network, whole = build_pretrained(ModelRef(name="timm:test_vit", file=str(tmp_path / "w.safetensors")), 3, 5, 32)
    assert whole
    assert network.get_parameter("pos_embed").shape[1] == 5  # four patches and the class token
    assert network.get_parameter("pos_embed").mean().item() == pytest.approx(1, abs=0.1)


def test_the_old_names_of_torchvision_s_densenets_are_known() -> None:
    old = "features.denseblock1.denselayer10.norm.2.weight"
    assert pretrained._renamed(old) == "features.denseblock1.denselayer10.norm2.weight"
    assert pretrained._renamed("features.norm5.weight") == "features.norm5.weight"


def pickled(path: Path, module: nn.Module) -> None:
    path.write_bytes(pickle.dumps(Path("anything"), protocol=2))


def whole_module(path: Path, module: nn.Module) -> None:
    torch.save(module, path)


def list_of_tensors(path: Path, module: nn.Module) -> None:
    torch.save(list(module.state_dict().values()), path)


def text(path: Path, module: nn.Module) -> None:
    path.write_text("weights")


def changed(**tensors: Tensor | None) -> Callable[[Path, nn.Module], object]:
    """The network's own file with other tensors, or (None) without them; dots are written as double underscores."""
    return lambda path, module: stored(module, path, **{key.replace("__", "."): t for key, t in tensors.items()})


@pytest.mark.parametrize(
    ("file", "make", "message"),
    [
        ("w.pth", pickled, "holds more than tensors, or is damaged, and is not unpickled"),
        ("w.pth", whole_module, "holds more than tensors"),
        ("w.pth", list_of_tensors, "expected a state dict, tensors by name"),
        ("w.safetensors", text, "cannot be read as weights"),
        ("w.safetensors", pickled, "cannot be read as weights"),
        (
            "w.safetensors",
            changed(bn1__weight=torch.ones(3)),
            "timm:test_resnet for 32x32 pixels: bn1.weight has shape 3, expected 32",
        ),
        ("w.safetensors", changed(bn1__weight=None), "bn1.weight is missing"),
        ("w.safetensors", changed(bn9__weight=torch.ones(3)), "bn9.weight is not in that model"),
        ("w.safetensors", changed(fc__weight=torch.ones(5, 3)), "fc.weight has shape 5x3, expected 5x"),
    ],
)
def test_a_file_that_does_not_serve_is_refused(file: str, make: Any, message: str, tmp_path: Path) -> None:
    make(tmp_path / file, trained())
    with pytest.raises(BenchError) as caught:
        build(ModelRef(name=RESNET, file=str(tmp_path / file)), 3, 5, 32)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"^suites\.x\.model\.file: .*gone\.pth is no file; expected weights"):
        check_ref(ModelRef(name=RESNET, file=str(tmp_path / "gone.pth")), "suites.x.model")


# Published weights


class Published:
    """Stands for torchvision's weights: a state dict, fetched with a check and without unpickling."""

    url = "https://example.org/resnet18-0123.pth"

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.asked: dict[str, Any] = {}

    def get_state_dict(self, **options: Any) -> dict[str, Tensor]:
        self.asked = options
        return self.module.state_dict() | {"AuxLogits.fc.weight": torch.ones(2)}


def test_torchvision_s_weights_come_through_its_api(monkeypatch: pytest.MonkeyPatch) -> None:
    module = trained("torchvision:resnet18", classes=11)
    weights = Published(module)
    monkeypatch.setattr(pretrained, "_torchvision_weights", lambda name: weights)
    network, whole = build_pretrained(ModelRef(name="torchvision:resnet18", pretrained=True), 3, 5, 32)
    assert (whole, weights.asked) == (False, {"progress": False, "check_hash": True, "weights_only": True})
    assert equal(network.state_dict(), module.state_dict(), but="fc.")
    assert build_pretrained(ModelRef(name="torchvision:resnet18", pretrained=True), 3, 11, 32)[1]


@pytest.mark.parametrize(("classes", "whole"), [(1000, True), (5, False)])
def test_timm_s_weights_come_through_its_api(classes: int, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm.models._builder as builder

    module = trained(classes=1000)
    monkeypatch.setattr(builder, "load_state_dict_from_hf", lambda *_, **__: module.state_dict())
    network, found = build_pretrained(ModelRef(name=RESNET, pretrained=True), 3, classes, 32)
    assert found == whole
    assert equal(network.state_dict(), module.state_dict(), but="none" if whole else "fc.")
    assert found or equal(network.fc.state_dict(), build(ModelRef(name=RESNET), 3, classes, 32).fc.state_dict())


def refuse(*_: Any, **__: Any) -> None:
    raise OSError("no network\nat all")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("torchvision:resnet18", "https://download.pytorch.org/models/resnet18-"),
        (RESNET, "https://huggingface.co/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"),
    ],
)
def test_without_a_network_it_is_told_what_to_fetch(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm.models._builder as builder
    import torch.hub

    monkeypatch.setattr(builder, "load_state_dict_from_hf", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub.os.path, "exists", lambda path: False)
    with pytest.raises(BenchError) as caught:
        build(ModelRef(name=name, pretrained=True), 3, 5, 32)
    line = str(caught.value)
    assert line.startswith(f"{name}: its published weights cannot be fetched (OSError); fetch {address}")
    assert "name the file by `file`" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet50t", r"^s\.pretrained: there are no published weights of timm:resnet50t"),
        ("own:vgg16", r"s\.pretrained: nobody publishes weights of own: models; name your own by `file`"),
        ("python:benchmark.models:build", r"nobody publishes weights of python: models"),
    ],
)
def test_models_nobody_publishes_weights_of(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        check_ref(ModelRef(name=name, pretrained=True), "s")


def test_a_file_goes_before_what_is_published(tmp_path: Path) -> None:
    module = trained()
    ref = stored(module, tmp_path / "w.safetensors").model_copy(update={"pretrained": True})
    assert equal(build(ref, 3, 5, 32).state_dict(), module.state_dict())
