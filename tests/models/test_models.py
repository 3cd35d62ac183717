import math

import pytest
import torch
from torch import nn

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models import build, check_ref, describe, head_names, initialise, model_class, model_names, replace_head
from benchmark.models.loader import build_large_model

ALL = ["own:resnet20", "own:vgg16"]


def small(name: str, **sizes: int) -> nn.Module:
    return build(ModelRef(name=name, width=0.125), **({"in_channels": 1, "classes": 5, "image_size": 8} | sizes))


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def test_the_names_are_the_files() -> None:
    assert model_names() == ALL
    for name in ALL:
        assert model_class(name).__doc__


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("channels", "size"), [(1, 1), (1, 8), (3, 32), (2, 7)])
def test_any_image_size_passes_and_traces(name: str, channels: int, size: int) -> None:
    module = small(name, in_channels=channels, classes=7, image_size=size)
    images = torch.randn(3, channels, size, size)
    traced = torch.fx.symbolic_trace(module.eval())
    assert module(images).shape == (3, 7)
    assert torch.equal(traced(images), module(images))


def test_vgg16_layout() -> None:
    full = build(ModelRef(name="own:vgg16"), 3, 10, 32)
    assert [layer.out_channels for layer in convolutions(full)] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    assert all(layer.bias is None for layer in convolutions(full))
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in full.modules()) == 5
    # On 8x8 the map is 1x1 after three poolings, and the other two are left out.
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in small("own:vgg16").modules()) == 3
    assert [layer.out_channels for layer in convolutions(small("own:vgg16"))][:3] == [8, 8, 16]


def test_resnet20_layout() -> None:
    full = build(ModelRef(name="own:resnet20"), 3, 10, 32)
    kernels = [layer.kernel_size for layer in convolutions(full)]
    assert kernels.count((3, 3)) == 19 and kernels.count((1, 1)) == 2
    expected = 3 * 9 * 16 + 2 * 16 + 64 * 10 + 10
    for entry, width in [(16, 16), (16, 32), (32, 64)]:
        expected += 9 * entry * width + 5 * 9 * width * width + 6 * 2 * width
    expected += 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert sum(p.numel() for p in full.parameters()) == expected


def test_tiny_widths_keep_one_channel() -> None:
    module = build(ModelRef(name="own:vgg16", width=0.001), 1, 2, 8)
    assert {layer.out_channels for layer in convolutions(module)} == {1}


@pytest.mark.parametrize("name", ALL)
def test_initialise_is_decided_by_the_seed_alone(name: str) -> None:
    one, two, other = small(name), small(name), small(name)
    one(torch.randn(4, 1, 8, 8))  # moves the running statistics
    torch.manual_seed(1)
    initialise(one, 3)
    torch.manual_seed(2)
    initialise(two, 3)
    initialise(other, 4)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    pairs = zip(convolutions(one), convolutions(other), strict=True)
    assert not any(torch.equal(a.weight, b.weight) for a, b in pairs)


def test_initial_law() -> None:
    module = build(ModelRef(name="own:vgg16", width=1.0), 3, 10, 32)
    initialise(module, 0)
    layer = convolutions(module)[-1]
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (512 * 9)), rel=0.01)
    head = module.get_submodule("head")
    assert isinstance(head, nn.Linear)
    bound = 1 / math.sqrt(512)
    assert head.weight.abs().max() <= bound and head.weight.std().item() == pytest.approx(
        bound / math.sqrt(3), rel=0.05
    )
    # The law follows the present shape: 16 times fewer inputs, 4 times the deviation.
    layer.weight = nn.Parameter(layer.weight[:, :32].clone())
    initialise(module, 0)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.02)


def test_a_layer_draws_the_same_whatever_the_others_are() -> None:
    one, two = small("own:vgg16", classes=5), small("own:vgg16", classes=6)
    assert torch.equal(convolutions(one)[3].weight, convolutions(two)[3].weight)


@pytest.mark.parametrize("name", ALL)
def test_replace_head(name: str) -> None:
    module = small(name).double().eval()
    assert head_names(module) == ("head",)
    body = {key: value.clone() for key, value in module.state_dict().items() if not key.startswith("head")}
    replace_head(module, 9, 1)
    first = module.get_parameter("head.weight").clone()
    assert module(torch.randn(2, 1, 8, 8).double()).shape == (2, 9)
    assert all(torch.equal(module.state_dict()[key], value) for key, value in body.items())
    replace_head(module, 9, 1)
    assert torch.equal(module.get_parameter("head.weight"), first)
    replace_head(module, 9, 2)
    assert not torch.equal(module.get_parameter("head.weight"), first)


def test_unknown_names_are_refused_with_a_hint() -> None:
    check_ref(ModelRef(name="own:vgg16"), "suites.digits.model")
    with pytest.raises(
        BenchError, match=r"^suites.digits.model.name: unknown model 'own:vgg19'; did you mean 'own:vgg16'"
    ):
        check_ref(ModelRef(name="own:vgg19"), "suites.digits.model")
    with pytest.raises(BenchError, match="unknown model"):
        build(ModelRef(name="vgg16"), 1, 5, 8)


def test_describe_is_enough_to_build_again() -> None:
    description = describe(ModelRef(name="own:resnet20", width=0.5), 1, 5, 8)
    assert description == {
        "name": "own:resnet20",
        "in_channels": 1,
        "classes": 5,
        "image_size": 8,
        "options": {"width": 0.5},
    }
    first = build(ModelRef(name="own:resnet20", width=0.5), 1, 5, 8).state_dict()
    again = build_large_model(description).state_dict()
    assert {name: tensor.shape for name, tensor in again.items()} == {name: t.shape for name, t in first.items()}
