"""The classifier is found in every kind of model, and replaced."""

import pytest
import torch
from torch import nn

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models import build, freeze_body, head_names, replace_head


def squeezed() -> nn.Module:
    """A convolution is the classifier, and more follows it."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Dropout(), nn.Conv2d(4, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def test_the_last_linear_layer_else_the_last_pointwise_convolution() -> None:
    assert head_names(nn.Sequential(nn.Linear(2, 3), nn.Conv2d(1, 1, 1), nn.Linear(3, 4), nn.ReLU())) == ("2",)
    assert head_names(squeezed()) == ("2",)


def test_a_network_without_such_a_layer_has_no_head() -> None:
    with pytest.raises(BenchError, match="no linear layer"):
        head_names(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3)))


def test_a_convolution_is_replaced_by_one() -> None:
    module = squeezed().eval().double()
    body = module[0].weight.clone()
    replace_head(module, 9, 1)
    first = module[2].weight.clone()
    assert first.shape == (9, 4, 1, 1)
    assert module(torch.rand(2, 1, 8, 8).double()).shape == (2, 9)
    replace_head(module, 9, 1)
    assert torch.equal(module[2].weight, first)
    assert torch.equal(module[0].weight, body)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("deit_tiny_distilled_patch16_224", ("head", "head_dist")),
        ("levit_conv_128s", ("head.linear", "head_dist.linear")),
        ("repvit_m0_9", ("head.head.l", "head.head_dist.l")),
    ],
)
def test_distilled_models_have_two(name: str, heads: tuple[str, ...]) -> None:
    module = build(ModelRef(name=f"timm:{name}"), 1, 5, 32).eval()
    assert head_names(module) == heads
    replace_head(module, 9, 1)
    assert head_names(module) == heads
    with torch.no_grad():
        assert module(torch.zeros(2, 1, 32, 32)).shape == (2, 9)
    one, two = (module.get_parameter(f"{head}.weight") for head in heads)
    assert one.shape == two.shape == (9, one.shape[1])
    assert not torch.equal(one, two)


def test_the_classifier_is_not_always_the_last_linear_layer() -> None:
    """VOLO's main classifier comes before layers that belong to its other one."""
    with torch.device("meta"):
        import timm

        module = timm.create_model("volo_d1_224", num_classes=5)
        convolutional = timm.create_model("dpn48b", num_classes=5)
    assert head_names(module) == ("head", "aux_head")
    assert head_names(convolutional) == ("classifier",)
    assert isinstance(convolutional.get_submodule("classifier"), nn.Conv2d)


def test_only_the_classifier_is_left_to_be_trained() -> None:
    module = build(ModelRef(name="timm:test_resnet"), 1, 5, 32)
    assert list(freeze_body(module)) == ["fc.weight", "fc.bias"]
    assert [name for name, parameter in module.named_parameters() if parameter.requires_grad] == [
        "fc.weight",
        "fc.bias",
    ]
