"""Stacked replicas against the same trainings done one by one."""

import pytest
import torch
from torch import nn

from benchmark import models
from benchmark.config.params import ModelRef, Recipe
from benchmark.training.loop import fit
from benchmark.training.stacked import NotStackable, Replicas


def _states(network: nn.Module, count: int) -> list[dict[str, torch.Tensor]]:
    states = []
    for seed in range(count):
        models.initialise(network, seed)
        states.append({name: tensor.detach().clone() for name, tensor in network.state_dict().items()})
    return states


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("name", "size"), [("own:vgg16", 8), ("own:vgg16", 12), ("own:resnet20", 8)])
def test_equal_to_training_one_by_one(name: str, size: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    network = models.build(ModelRef(name=name, width=0.0625), 1, 3, size).double().train().to(memory_format=layout)
    states = _states(network, 3)
    images = torch.randn(4, 3, 6, 1, size, size, dtype=torch.float64)
    labels = torch.randint(0, 3, (4, 3, 6))
    # Without decay, which would also shrink the taps that are never read, and which the stack leaves alone.
    recipe = Recipe(steps=4, batch=6, lr=0.05, weight_decay=0.0)

    replicas = Replicas(network, states, (1, size, size))
    fit(replicas, replicas.parameters, list(zip(images, labels, strict=True)), recipe)

    for index, state in enumerate(states):
        network.load_state_dict(state)
        batches = [(images[step, index], labels[step, index]) for step in range(4)]
        fit(network, dict(network.named_parameters()), batches, recipe)
        alone = network.state_dict()
        for key, value in replicas.state(index).items():
            torch.testing.assert_close(value, alone[key], rtol=1e-8, atol=1e-10)


def test_decay_and_masks_change_what_the_network_reads_as_they_do_alone() -> None:
    torch.manual_seed(0)
    network = models.build(ModelRef(name="own:vgg16", width=0.0625), 1, 3, 8).double().train()
    states = _states(network, 2)
    masks = {name: (torch.rand_like(p) < 0.7).double() for name, p in network.named_parameters() if p.ndim == 4}
    for state in states:
        for name, mask in masks.items():
            state[name] *= mask
    images, labels = torch.randn(3, 2, 6, 1, 8, 8, dtype=torch.float64), torch.randint(0, 3, (3, 2, 6))
    recipe = Recipe(steps=3, batch=6, lr=0.05, weight_decay=0.1)
    replicas = Replicas(network, states, (1, 8, 8))
    fit(replicas, replicas.parameters, list(zip(images, labels, strict=True)), recipe, replicas.masks(masks))
    for index, state in enumerate(states):
        network.load_state_dict(state)
        batches = [(images[step, index], labels[step, index]) for step in range(3)]
        fit(network, dict(network.named_parameters()), batches, recipe, masks)
        stacked = replicas.state(index)
        assert all(bool((stacked[name][mask == 0] == 0).all()) for name, mask in masks.items())
        alone = network.eval()(images[0, 0])
        network.load_state_dict({**network.state_dict(), **stacked})
        torch.testing.assert_close(network(images[0, 0]), alone, rtol=1e-8, atol=1e-10)
        network.train()


def test_replicas_do_not_touch_each_other() -> None:
    network = models.build(ModelRef(name="own:vgg16", width=0.0625), 1, 3, 8)
    first, second = _states(network, 2)
    images = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    together = Replicas(network, [first, second], (1, 8, 8))(images)
    changed = Replicas(network, [first, _states(network, 3)[2]], (1, 8, 8))(images)
    torch.testing.assert_close(together[0], changed[0])
    assert not torch.allclose(together[1], changed[1])


def test_taps_that_read_padding_only_are_left_out() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.AdaptiveAvgPool2d(1))
    state = network.state_dict()
    on_points = Replicas(network, [state], (2, 1, 1))
    assert on_points.parameters["0.weight"].shape == (1, 3, 2, 1, 1)
    assert Replicas(network, [state], (2, 2, 2)).parameters["0.weight"].shape == (1, 3, 2, 3, 3)
    images = torch.randn(1, 4, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(on_points(images)[0], network(images[0]).flatten(1))
    torch.testing.assert_close(on_points.state(0)["0.weight"], state["0.weight"])


def test_the_network_is_left_as_it_was() -> None:
    network = models.build(ModelRef(name="own:resnet20", width=0.125), 1, 3, 8).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Replicas(network, _states(network, 1), (1, 8, 8))
    models.initialise(network, 0)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def tied() -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[1].weight = network[0].weight
    return network


def frozen() -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[0].requires_grad_(False)
    return network


def hooked() -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.register_forward_hook(lambda _module, _given, output: 4 * output)
    return network


@pytest.mark.parametrize(
    "network",
    [
        tied(),
        frozen(),
        hooked(),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 3))),
        nn.Sequential(nn.Conv2d(2, 2, 3, groups=2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.GroupNorm(1, 2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.AdaptiveAvgPool2d(2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten()),
    ],
)
def test_unknown_operations_are_refused(network: nn.Module) -> None:
    with pytest.raises(NotStackable):
        Replicas(network, [network.state_dict()], (2, 4, 4))


def test_a_buffer_that_no_state_holds_is_no_replica_s() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1))
    network.register_buffer("mean", torch.rand(2), persistent=False)
    assert set(Replicas(network, [network.state_dict()], (2, 4, 4)).buffers) == {"1.running_mean", "1.running_var"}
