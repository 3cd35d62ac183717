"""Building a search space refuses what cannot be followed, in one line."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from benchmark.errors import BenchError
from benchmark.space import build_space

IMAGE = torch.zeros(1, 1, 6, 6)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


@pytest.mark.parametrize("granularity", ["channel", "weight", "block", "block+channel"])
@pytest.mark.parametrize(
    ("model", "image", "message"),
    [
        (nn.Flatten(), IMAGE, "model: Flatten has no parameters"),
        (nn.Sequential(nn.LazyConv2d(8, 3)), IMAGE, "model: 0.weight is not initialised yet"),
        (network(), IMAGE.to(torch.uint8), "model: Sequential cannot run on torch.uint8 [1, 1, 6, 6]"),
        (network(), IMAGE.expand(1, 3, 6, 6), "model: Sequential cannot run on torch.float32 [1, 3, 6, 6]"),
        (network().half(), IMAGE, "model: Sequential cannot run on torch.float32 [1, 1, 6, 6]"),
        (network(), IMAGE[:0], "example_input: expected one image, a tensor [1, C, H, W]"),
        (network(), [0.0], "example_input: expected one image, a tensor [1, C, H, W]"),
    ],
    ids=["no parameters", "lazy", "uint8", "colours", "half", "empty", "list"],
)
def test_a_model_or_image_that_cannot_be_followed_is_refused(
    granularity: str, model: Any, image: Any, message: str
) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        build_space(model, image, granularity)


def test_the_space_of_a_wrapped_model_is_that_of_the_network_within() -> None:
    assert build_space(nn.DataParallel(network()), IMAGE, "channel").digest == (
        build_space(network(), IMAGE, "channel").digest
    )
