"""Networks that cannot be searched or trained are refused before anybody tries, in one line that says why."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.usable import check_classifier, check_network, check_runs, check_trainable, check_weights_finite

IMAGE = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A convolution, batch norm, dropout and a classifier of five classes; `after` is what becomes of the logits."""

    def __init__(self, after: Callable[[Any], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 5)
        self.after = after

    def forward(self, images: Tensor) -> Any:
        features = nn.functional.dropout(self.norm(self.conv(images)).relu(), 0.1, self.training)
        return self.after(self.fc(features.mean((2, 3))))


class InTraining(Net):
    """What becomes of the logits does so in training only."""

    def forward(self, images: Tensor) -> Any:
        after, self.after = self.after, lambda logits: logits
        logits = super().forward(images)
        self.after = after
        return after(logits) if self.training else logits


class TwoInputs(Net):
    def forward(self, images: Tensor, others: Tensor) -> Any:  # type: ignore[override]
        return super().forward(images + others)


def quantised() -> nn.Module:
    network = nn.Module()
    network.conv, network.fc = nn.Conv2d(3, 4, 3), torch.ao.nn.quantized.dynamic.Linear(4, 5)
    return network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (None, "model: NoneType is no network; expected a torch.nn.Module"),
        (Net, "model: Net is no network; expected a torch.nn.Module; call it, for an instance"),
        (nn.Flatten(), "model: Flatten has no parameters"),
        (nn.Sequential(nn.LazyConv2d(8, 3)), "model: 0.weight is not initialised yet; run Sequential on one batch"),
        (Net().to("meta"), "model: conv.weight is on the device meta"),
        (torch.jit.script(nn.Linear(2, 2)), "is TorchScript; expected modules of Python"),
        (quantised(), "model: fc is quantised; expected float32"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_plain_network_is_refused(network: Any, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        check_network(network)


def spoilt(tensor: str) -> nn.Module:
    network = Net()
    network.state_dict()[tensor].view(-1)[1] = float("nan")
    return network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Net().half(), "conv.weight is torch.float16; expected torch.float32; call float()"),
        (Net().double(), "conv.weight is torch.float64; expected torch.float32"),
        (spoilt("fc.weight"), "fc.weight has values that are not finite"),
        (spoilt("norm.running_var"), "norm.running_var has values that are not finite"),
    ],
    ids=["half", "double", "nan", "statistics"],
)
def test_weights_of_another_type_or_without_a_value_are_named(network: nn.Module, message: str) -> None:
    check_weights_finite(Net())
    with pytest.raises(BenchError, match=re.escape(message)):
        check_weights_finite(network, "found")


@pytest.mark.parametrize(
    ("network", "image"), [(TwoInputs(), IMAGE), (Net(), IMAGE[:, :1]), (Net(), IMAGE[..., :2, :2])]
)
def test_a_network_that_does_not_take_the_image_is_refused(network: nn.Module, image: Tensor) -> None:
    with pytest.raises(BenchError, match=r"cannot run on torch.float32 \[1, .*Error: .*; give images that it takes"):
        check_runs(network, image)


OUTPUTS: list[tuple[Callable[[Tensor], Any], str]] = [
    (lambda logits: {"logits": logits}, "a dict comes out, no tensor of logits"),
    (lambda logits: (logits, logits), "a tuple comes out, no tensor of logits"),
    (lambda logits: logits[:, :, None, None], "has shape"),
    (lambda logits: logits[:, 0], "has shape"),
    (lambda logits: logits.long(), "the output is torch.int64"),
]


@pytest.mark.parametrize(("after", "message"), OUTPUTS)
def test_a_network_whose_output_is_no_logits_is_refused_in_both_modes(after: Any, message: str) -> None:
    assert check_classifier(Net(), IMAGE) == 5
    with pytest.raises(BenchError, match=rf"model: Net is no classifier: .*{message}"):
        check_classifier(Net(after), IMAGE)
    network = InTraining(after)
    assert check_classifier(network, IMAGE) == 5
    with pytest.raises(BenchError, match=rf"model: InTraining is no classifier: in training mode .*{message}"):
        check_trainable(network, IMAGE, 5)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BenchError, match="the logits of Net for an image are not finite"):
        check_classifier(Net(lambda logits: logits / 0), IMAGE)


class OfTheBatch(nn.Module):
    """Batch norm over a single row: it runs in eval mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(108, 5), nn.BatchNorm1d(5)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.fc(images.flatten(1)).sum(0, keepdim=True)).expand(len(images), -1)


def written_over(logits: Tensor) -> Tensor:
    """The exponential's gradient needs its result, which is gone."""
    exponential = logits.exp()
    return exponential.add_(1) * exponential.detach()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Net().requires_grad_(False), "all parameters of Net are frozen; unfreeze them"),
        (Net(torch.Tensor.detach), "the logits of Net have no gradient; remove torch.no_grad and detach"),
        (
            OfTheBatch(),
            "OfTheBatch cannot run in training mode on torch.float32 [3, 3, 6, 6] (ValueError: Expected more",
        ),
        (Net(written_over), "Net has no backward pass (RuntimeError: one of the variables needed for gradient"),
    ],
    ids=["frozen", "detached", "batch norm", "in place"],
)
def test_a_network_that_cannot_take_a_training_step_is_refused(network: nn.Module, message: str) -> None:
    check_classifier(network, IMAGE)
    with pytest.raises(BenchError, match=re.escape(message)):
        check_trainable(network, IMAGE, 5)


def test_a_partly_frozen_network_may_be_trained() -> None:
    network = Net()
    network.conv.requires_grad_(False)
    check_trainable(network, IMAGE, 5)


def test_the_checks_leave_the_network_and_the_random_numbers_as_they_were() -> None:
    network = Net().train()
    network.norm.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    check_network(network)
    check_weights_finite(network)
    check_trainable(network, IMAGE, check_classifier(network, IMAGE))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training and not network.norm.training
    assert all(parameter.grad is None for parameter in network.parameters())
