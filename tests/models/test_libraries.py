"""Every classifier of torchvision and models of timm's families are built, for any number of channels; wrong names."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models import build, check_images, check_ref, describe, head_names, model_names
from benchmark.models.loader import build_large_model

TORCHVISION = model_names("torchvision")
# One small model of each of a dozen families.
TIMM = [
    *("byobnet", "coatnet", "convnext", "efficientnet", "efficientnet_evos", "mambaout", "maxvit", "nfnet", "resnet"),
    *("vit", "vit_relpos", "efficientnet_ln"),
]


HEADS: dict[type[nn.Module], tuple[str, ...]] = {}


class LayersOnly(TorchFunctionMode):
    """What layers are made of has a shape only; what a constructor computes with has values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones) and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def smallest(name: str) -> int:
    """A small size of images that the model can take."""
    sizes = {"torchvision:inception_v3": 75, "torchvision:maxvit_t": 224, "torchvision:vit_h_14": 28}
    return sizes.get(name, 64)


def weightless(name: str, channels: int) -> nn.Module:
    """The largest models are built at once without weights; RegNet's constructor computes its widths with tensors."""
    with LayersOnly() if "regnet" in name else torch.device("meta"):
        return build_large_model(describe(ModelRef(name=name), channels, 7, smallest(name)))


def first_convolution(module: nn.Module) -> nn.Conv2d:
    return next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_classifier_of_torchvision_is_built(name: str) -> None:
    size = smallest(name)
    grey, colour = weightless(name, 1), weightless(name, 3)
    logits = grey.eval()(torch.zeros(2, 1, size, size, device="meta"))
    assert logits.shape == (2, 7)
    # Where it is, the first model of each kind says: to trace one takes longer than all else here.
    (head,) = HEADS.get(type(grey)) or HEADS.setdefault(type(grey), head_names(grey))
    for one in (grey, colour):
        assert one.get_submodule(head).weight.shape[0] == 7
    one, three = first_convolution(grey), first_convolution(colour)
    assert (one.in_channels, three.in_channels) == (1, 3)
    for attribute in ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"):
        assert getattr(one, attribute) == getattr(three, attribute)
    assert (one.bias is None) == (three.bias is None)


@pytest.mark.parametrize("name", TIMM)
def test_timm_s_families_are_built_initialised_and_run(name: str) -> None:
    ref = ModelRef(name=f"timm:test_{name}")
    for channels in (1, 3):
        module = build(ref, channels, 7, 32)
        check_images(module, ref, channels, 7, 32)
        assert first_convolution(module).in_channels == channels
        (head,) = head_names(module)
        assert module.get_parameter(f"{head}.weight").shape[0] == 7


@pytest.mark.parametrize("name", ["torchvision:resnet18", "torchvision:vit_b_32", "torchvision:squeezenet1_1"])
def test_torchvision_s_models_run_after_initialisation(name: str) -> None:
    ref = ModelRef(name=name)
    module = build(ref, 1, 7, 64)
    check_images(module, ref, 1, 7, 64)
    assert module(torch.rand(2, 1, 64, 64)).std() > 0


def test_options_reach_the_constructor() -> None:
    module = build(ModelRef(name="timm:test_vit", options={"depth": 2}), 3, 7, 32)
    assert len(module.get_submodule("blocks")) == 2  # type: ignore[arg-type]
    dropout = build(ModelRef(name="torchvision:mobilenet_v2", options={"dropout": 0.5}), 3, 7, 32)
    assert dropout.get_submodule("classifier.0").p == 0.5


# A factory of one's own

FACTORY = """
from torch import nn

def make(in_channels, classes, image_size, depth=1):
    layers = [nn.Conv2d(in_channels, 4, 3, padding=1)] + [nn.Conv2d(4, 4, 3, padding=1) for _ in range(depth)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * image_size**2, classes))

def several(in_channels, classes, image_size):
    class Several(nn.Linear):
        def forward(self, images):
            return [super().forward(images.flatten(1))]
    return Several(in_channels * image_size**2, classes)

def logits_of_five(in_channels, classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, 5))
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "factories_of_mine.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "factories_of_mine", raising=False)
    return "python:factories_of_mine"


def test_a_factory_gets_the_shapes_and_its_options(factories: str) -> None:
    module = build(ModelRef(name=f"{factories}:make", options={"depth": 3}), 2, 7, 6)
    assert len(module) == 6  # type: ignore[arg-type]
    assert isinstance(module(torch.zeros(1, 2, 6, 6)), Tensor)
    assert first_convolution(module).in_channels == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("several", r"cannot classify images of 6x6 pixels in 1 channel \(in training, a list comes out, no tensor"),
        ("logits_of_five", r"the output of 2 images has shape \(2, 5\), expected \(2, 7\)"),
    ],
)
def test_a_network_that_gives_no_logits_is_refused(factories: str, function: str, message: str) -> None:
    ref = ModelRef(name=f"{factories}:{function}")
    with pytest.raises(BenchError, match=message):
        check_images(build(ref, 1, 7, 6), ref, 1, 7, 6)


# Mistakes


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (
            {"name": "torchvision:resnet81"},
            "s.name: unknown model 'torchvision:resnet81'; did you mean 'torchvision:resnet18'",
        ),
        (
            {"name": "timm:convnext_tinny"},
            "s.name: unknown model 'timm:convnext_tinny'; did you mean 'timm:convnext_tiny'",
        ),
        ({"name": "timm:resnet18.foo"}, "s.name: unknown model 'timm:resnet18.foo'; "),
        ({"name": "torchvision:fcn_resnet50"}, "s.name: unknown model"),
        ({"name": "torch:resnet18"}, "s.name: unknown model 'torch:resnet18'; "),
        ({"name": "python:nothing"}, "s.name: 'python:nothing'; expected python:package.module:factory"),
        ({"name": "python:nowhere.to:be"}, "s.name: nowhere.to cannot be imported"),
        ({"name": "python:benchmark.models:gone"}, "s.name: benchmark.models has no function 'gone'"),
        ({"name": "timm:resnet18", "width": 0.5}, "s.width: only own: models have a width"),
        ({"name": "timm:resnet18", "options": {"num_classes": 3}}, "s.options: 'num_classes' is the suite's to set"),
    ],
)
def test_mistakes_are_told_in_one_line(ref: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        check_ref(ModelRef(**ref), "s")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("ref", "size", "message"),
    [
        ({"name": "timm:test_resnet", "options": {"colour": "red"}}, 32, "unexpected keyword argument 'colour'"),
        ({"name": "torchvision:vit_b_16"}, 33, "images of 33x33 pixels in 1 channel and 7 classes"),
    ],
)
def test_what_cannot_be_built_says_for_what(ref: dict[str, Any], size: int, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        build(ModelRef(**ref), 1, 7, size)


def test_images_too_small_for_a_model_are_told() -> None:
    ref = ModelRef(name="torchvision:vgg11")
    module = weightless(ref.name, 1)
    module = module.to_empty(device="cpu")
    with pytest.raises(
        BenchError, match=r"torchvision:vgg11: cannot classify images of 8x8 pixels .*Output size is too"
    ):
        check_images(module, ref, 1, 7, 8)
