"""Stacked replicas against the same trainings done one by one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmark import models
from benchmark.config import ModelRef, Recipe
from benchmark.replicas import NotStackable, Replicas
from benchmark.training import fit


def _states(network: nn.Module, count: int) -> list[dict[str, torch.Tensor]]:
    states = []
    for seed in range(count):
        models.initialise(network, seed)
        states.append({name: tensor.detach().clone() for name, tensor in network.state_dict().items()})
    return states


@pytest.mark.parametrize(("name", "size"), [("own:vgg16", 8), ("own:vgg16", 12), ("own:resnet20", 8)])
def test_equal_to_training_one_by_one(name: str, size: int) -> None:
    torch.manual_seed(0)
    network = models.build(ModelRef(name=name, width=0.0625), 1, 3, size).double().train()
    states = _states(network, 3)
    images = torch.randn(4, 3, 6, 1, size, size, dtype=torch.float64)
    labels = torch.randint(0, 3, (4, 3, 6))
    recipe = Recipe(steps=4, batch=6, lr=0.05)

    replicas = Replicas(network, states)
    fit(replicas, replicas.parameters, list(zip(images, labels, strict=True)), recipe)

    for index, state in enumerate(states):
        network.load_state_dict(state)
        batches = [(images[step, index], labels[step, index]) for step in range(4)]
        fit(network, dict(network.named_parameters()), batches, recipe)
        alone = network.state_dict()
        for key, value in replicas.state(index).items():
            torch.testing.assert_close(value, alone[key], rtol=1e-8, atol=1e-10)


def test_replicas_do_not_touch_each_other() -> None:
    network = models.build(ModelRef(name="own:vgg16", width=0.0625), 1, 3, 8)
    first, second = _states(network, 2)
    images = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    together = Replicas(network, [first, second])(images)
    changed = Replicas(network, [first, _states(network, 3)[2]])(images)
    torch.testing.assert_close(together[0], changed[0])
    assert not torch.allclose(together[1], changed[1])


def test_padding_only_taps_are_left_out_exactly() -> None:
    # On a 1x1 map a padded 3x3 kernel reads its centre only: the other eight taps get no gradient.
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    network = nn.Sequential(conv, nn.Flatten(1), nn.Linear(3, 2))
    replicas = Replicas(network, [network.state_dict()])
    images = torch.randn(1, 4, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(replicas(images)[0], network(images[0]))
    replicas(images).square().sum().backward()
    gradient = replicas.parameters["0.weight"].grad
    assert gradient is not None
    centre = torch.zeros(3, 3, dtype=torch.bool)
    centre[1, 1] = True
    assert bool((gradient[..., ~centre] == 0).all())
    assert bool((gradient[..., centre] != 0).any())


def test_strided_convolution_gradient() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    replicas = Replicas(nn.Sequential(conv, nn.Flatten()), [conv_state(conv)])
    images = torch.randn(1, 2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    replicas(images).square().sum().backward()
    stacked = images.grad
    plain = images.detach()[0].clone().requires_grad_()
    F.conv2d(plain, conv.weight, conv.bias, 2, 1).square().sum().backward()
    assert stacked is not None
    torch.testing.assert_close(stacked[0], plain.grad)


def conv_state(conv: nn.Conv2d) -> dict[str, torch.Tensor]:
    return {f"0.{name}": tensor for name, tensor in conv.state_dict().items()}


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(2, 2, 3, groups=2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.GroupNorm(1, 2)),
        nn.Sequential(nn.AdaptiveAvgPool2d(2)),
        nn.Sequential(nn.MaxPool2d(3, 2)),
    ],
)
def test_unknown_operations_are_refused(network: nn.Module) -> None:
    with pytest.raises(NotStackable):
        Replicas(network, [network.state_dict()])
