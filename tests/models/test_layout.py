"""Networks that flatten maps by `view` train and are measured like those that do not."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark import api
from benchmark.config.params import ModelRef
from benchmark.models import build
from benchmark.models.layout import in_layout, settle_layout
from benchmark.training.stacked import Replicas

IMAGES = torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(60) % 5


class Flattening(nn.Module):
    def __init__(self, view: bool) -> None:
        super().__init__()
        self.view = view
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
        self.hidden, self.head = nn.Linear(96, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.second(F.relu(self.first(x)))), 2)
        x = x.view(x.size(0), -1) if self.view else x.flatten(1)
        return self.head(F.relu(self.hidden(x)))


def strides(network: nn.Module) -> tuple[int, ...]:
    return network.get_parameter("second.weight").stride()


def test_only_what_cannot_run_channels_last_does_not() -> None:
    image = torch.zeros(1, 3, 8, 8)
    flexible, fixed = Flattening(False), Flattening(True)
    for network in (flexible, fixed):
        network.train()
        settle_layout(network, image)
        settle_layout(network, image)
        assert network.training
    assert len(flexible._forward_pre_hooks) == 0 and len(fixed._forward_pre_hooks) == 1
    assert strides(in_layout(flexible)) == (72, 1, 24, 8)
    assert strides(in_layout(fixed)) == (72, 9, 3, 1)
    images = torch.rand(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    fixed.load_state_dict(flexible.state_dict())
    torch.testing.assert_close(fixed(images), flexible(images))


def test_images_of_one_channel_are_given_in_the_usual_order_too() -> None:
    """Their memory is in order in both layouts, but their strides say which one a convolution goes on in."""
    network = Flattening(True)
    network.first = nn.Conv2d(1, 8, 3, padding=1)
    settle_layout(network, torch.zeros(1, 1, 8, 8))
    images = torch.rand(4, 1, 8, 8).as_strided((4, 1, 8, 8), (64, 1, 8, 1))
    assert images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)
    assert in_layout(network)(images).shape == (4, 5)


def test_kernels_of_volumes_keep_their_order() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(1, 2), nn.Conv2d(4, 2, 3))
    strides = network[0].weight.stride()
    assert in_layout(network)[0].weight.stride() == strides
    assert network[2].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_the_same_is_found_and_measured_in_both_forms(granularity: str) -> None:
    outputs, sizes = [], []
    for view in (False, True):
        recipe = api.Recipe(steps=3, batch=16, lr=0.01)
        problem = api.problem(Flattening(view), IMAGES, LABELS, [0.5], granularity, recipe=recipe)
        found = api.search("magnitude", problem)[0]
        outputs.append(api.finetune(problem, found, IMAGES, LABELS, "fresh")(problem.validation.normalise(IMAGES)))
        sizes.append(found.architecture.meta["params"])
        # A network from elsewhere is measured as it comes.
        accuracy = api.evaluate(problem, api.extract(Flattening(view), found.architecture))
        assert round(accuracy * len(problem.validation), 6).is_integer()
    assert sizes[0] == sizes[1]
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("channels", "order"), [(4, "usual"), (8, "last")])
def test_strided_projections_of_few_channels_keep_the_usual_order(channels: int, order: str) -> None:
    """The gradient of their kernels writes past the end of memory in the other layout, on machines without AVX-512."""
    network = build(ModelRef(name="own:resnet20", width=channels / 16), 3, 5, 8).eval()
    projection, given = network.get_submodule("blocks.3.shortcut.0"), []
    images = torch.rand(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    expected = network(images.contiguous())
    Replicas(in_layout(in_layout(network)), [network.state_dict()] * 2, (3, 8, 8))  # no obstacle to stacking
    projection.register_forward_hook(lambda _, inputs, output: given.extend([*inputs, output]))
    torch.testing.assert_close(network(images), expected)
    for one in given:
        assert one.stride()[1] == (1 if order == "last" else one.shape[2] * one.shape[3])
    assert projection.weight.stride() == ((channels, 1, channels, channels) if order == "last" else (channels, 1, 1, 1))
    assert len(projection._forward_pre_hooks) == (order == "usual")
