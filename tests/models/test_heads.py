"""The classifier is found in every kind of model, and replaced."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models import build, freeze_body, head_names, replace_head


def squeezed() -> nn.Module:
    """A convolution is the classifier, and more follows it."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Dropout(), nn.Conv2d(4, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class Classifier(nn.Module):
    """Three colours to 24 features, and a linear layer of five classes on them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 24, 3, 2)
        self.fc = nn.Linear(24, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x).relu().mean((2, 3))

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.features(x))


class Pooled(Classifier):
    """The weights of the places are defined after the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(24, 2)

    def features(self, x: Tensor) -> Tensor:
        places = self.body(x).relu().flatten(2).mT
        return (places * self.score(places).softmax(1).mean(-1, keepdim=True)).sum(1)


class PlaceByPlace(Pooled):
    """The places are classified, and their logits weighted."""

    def forward(self, x: Tensor) -> Tensor:
        places = self.body(x).relu().flatten(2).mT
        weights = self.score(places).softmax(1).mean(-1, keepdim=True)
        return (weights.mT @ self.fc(places)).squeeze(1)


class Unused(Classifier):
    """A projection for another loss is defined last, and is as wide as the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(24, 5)


class Averaged(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        found = self.features(x)
        return (self.fc(found) + self.second(found.tanh())) / 2


class LogProbabilities(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).div_(0.5).log_softmax(-1)


class Helped(Classifier):
    """In training another classifier helps."""

    def __init__(self) -> None:
        super().__init__()
        self.aux, self.norm = nn.Linear(24, 5), nn.BatchNorm1d(24)

    def forward(self, x: Tensor) -> Tensor:
        features = self.norm(self.features(x))
        return self.fc(features) + 0.3 * self.aux(features) if self.training else self.fc(features)


class TwoNames(Classifier):
    """The classifier has two names, and runs by the second."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.Sequential(self.body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), self.fc)

    def forward(self, x: Tensor) -> Tensor:
        return self.all(x)


class Written(Classifier):
    """The logits are written into a tensor that was there before."""

    def forward(self, x: Tensor) -> Tensor:
        logits = x.new_zeros(len(x), self.fc.out_features)
        logits[:] = self.fc(self.features(x))
        return logits


class Cosine(Classifier):
    """The classifier's weight is normalised first, and so it is no linear layer."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(self.features(x)), F.normalize(self.fc.weight))


class OwnForward(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class NormAfter(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Described(Classifier):
    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x)}


@pytest.mark.parametrize(
    ("network", "heads"),
    [
        (Pooled, ("fc",)),
        (PlaceByPlace, ("fc",)),
        (Unused, ("fc",)),
        (Averaged, ("fc", "second")),
        (LogProbabilities, ("fc",)),
        (Written, ("fc",)),
        (Helped, ("fc", "aux")),
        (TwoNames, ("fc",)),
        (NormAfter, ("fc",)),
        (squeezed, ("2",)),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 7), nn.ReLU(), nn.Linear(7, 3)), ("3",)),
    ],
)
def test_the_head_is_the_layer_whose_output_is_the_networks(
    network: Callable[[], nn.Module], heads: tuple[str, ...]
) -> None:
    module = network().train()
    drawn = torch.random.get_rng_state()
    assert head_names(module) == heads
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(layer.training and not layer._forward_hooks for layer in module.modules())
    assert list(freeze_body(module)) == [f"{head}.{leaf}" for head in heads for leaf in ("weight", "bias")]


@pytest.mark.parametrize("network", [Pooled, PlaceByPlace, Unused, Averaged, LogProbabilities, Written, Helped])
def test_only_the_head_is_replaced(network: Callable[[], nn.Module]) -> None:
    module = network()
    heads = head_names(module)
    before = {name: p.clone() for name, p in module.named_parameters() if name.partition(".")[0] not in heads}
    for image in (None, torch.zeros(3, 3, 20, 20)):
        replace_head(module, 4, 0, image)
        assert module(torch.rand(2, 3, 16, 16)).shape == (2, 4)
        assert head_names(module) == heads
    assert all(torch.equal(module.get_parameter(name), old) for name, old in before.items())


def test_what_is_no_linear_layer_is_not_replaced() -> None:
    with pytest.raises(BenchError, match=r"its 5 logits come from the network itself \(Cosine\)"):
        head_names(Cosine())
    with pytest.raises(BenchError, match=r"come from 1 \(OwnForward with 5 outputs\)"):
        head_names(nn.Sequential(nn.Flatten(), OwnForward(64, 5)))
    with pytest.raises(BenchError, match="output is of type dict, expected logits"):
        head_names(Described())
    with pytest.raises(BenchError, match=r"output is of shape \(1, 1, 30, 30\), expected logits"):
        head_names(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3)))


def test_a_head_that_others_depend_on_stays() -> None:
    module = NormAfter()
    with pytest.raises(BenchError, match="with a classifier of 4 classes it cannot run on images"):
        replace_head(module, 4, 0)
    assert module.fc.out_features == 5
    assert module(torch.rand(2, 3, 16, 16)).shape == (2, 5)


def test_an_image_that_the_network_takes_can_be_given() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4 * 5 * 9, 3))
    with pytest.raises(BenchError, match="runs on no black image of a usual size"):
        head_names(module)
    assert head_names(module, torch.zeros(6, 2, 7, 11)) == ("2",)
    with pytest.raises(BenchError, match=r"it cannot run on images \[2, 7, 12\] \(RuntimeError: .*shapes cannot be"):
        head_names(module, torch.zeros(1, 2, 7, 12))


class ConvolvedFirst(nn.Module):
    """A classifier of maps that is defined before the convolution it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(6, 10, 1)
        self.body = nn.Conv2d(3, 6, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).relu()).mean((2, 3))


def test_the_convolution_that_is_defined_first_need_not_read_the_image() -> None:
    model = ConvolvedFirst()
    replace_head(model, 4, 0)
    assert model.head.weight.shape == (4, 6, 1, 1)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 4)


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


def test_a_classifier_of_two_names_is_replaced_under_both() -> None:
    module = TwoNames()
    replace_head(module, 4, 0)
    assert module(torch.rand(2, 3, 16, 16)).shape == (2, 4) and module.fc is module.all[4]


def test_running_statistics_stay_where_a_classifier_is_looked_for() -> None:
    module = Helped()
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    assert head_names(module) == ("fc", "aux")
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())
