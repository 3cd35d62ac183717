"""What single operations do to the channels they are applied to: nothing, join some, or leave them whole."""

from collections.abc import Callable

import networks
import pytest
import torch
from coupled import Hidden
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from benchmark.space import ChannelSpace

ORDER = torch.tensor([2, 0, 3, 1])
# On four channels of 4 x 4.
FREE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu in place": lambda x: x.relu_(),
    "hardswish": F.hardswish,
    "leaky relu": F.leaky_relu,
    "gelu": F.gelu,
    "elu": F.elu,
    "celu": F.celu,
    "mish": F.mish,
    "softplus": F.softplus,
    "hardtanh": F.relu6,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "masked fill": lambda x: x.masked_fill(x > 0.5, 0.5),
    "product with itself": lambda x: x * x.sigmoid(),
    "lerp": lambda x: torch.lerp(x, x.tanh(), 0.3),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "softmax over places": lambda x: x.flatten(2).softmax(-1).view_as(x),
    "max pool": lambda x: F.max_pool2d(x, 3, 1, 1),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "adaptive average pool": lambda x: F.adaptive_avg_pool2d(x, 3),
    "adaptive max pool": lambda x: F.adaptive_max_pool2d(x, 2),
    "power pool": lambda x: F.avg_pool2d(x.abs().clamp(min=1e-6).pow(3), 2).pow(1 / 3),
    "nearest": lambda x: F.interpolate(x, scale_factor=2.0),
    "fixed halves": lambda x: torch.cat(x.split([2, 2], 1)[::-1], 1).relu(),
    "fixed quarters": lambda x: torch.cat(x.split(1, 1)[::-1], 1).relu(),
    "bilinear": lambda x: F.interpolate(x, (7, 7), mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, (7, 7), mode="bicubic", antialias=True),
    "zero padding": lambda x: F.pad(x, (1, 1, 1, 1)),
    "reflection": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replication": lambda x: F.pad(x, (1, 0, 1, 0), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "instance norm": F.instance_norm,
    "scale by place": lambda x: x / (1 + x.std((2, 3), keepdim=True)),
    "norm over places": lambda x: F.normalize(x.flatten(2), dim=-1).unflatten(2, (4, 4)),
    "maximum over places": lambda x: x - x.amax((2, 3), keepdim=True),
    "logsumexp over places": lambda x: x - x.logsumexp((2, 3), keepdim=True),
    "cumsum over places": lambda x: x.cumsum(2),
    "sorted places": lambda x: x.sort(3).values[..., :2],
    "rolled places": lambda x: x.roll((1, 2), (2, 3)),
    "windows": lambda x: x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)),
    "places to a batch": lambda x: x.flatten(2).mT.flatten(0, 1).tanh().view(-1, 16, x.shape[1]).mT[..., None],
    "channels last": lambda x: x.to(memory_format=torch.channels_last).relu(),
    "turned": lambda x: x.rot90(1, (2, 3)),
    "reversed channels": lambda x: x.flip(1),
    "channels one by one": lambda x: torch.stack([one * 2 for one in x.unbind(1)], 1),
    "channels as parts": lambda x: torch.cat([part.tanh() for part in x.split(1, 1)], 1),
    "written in place": lambda x: torch.zeros_like(x).copy_(x).mul_(2),
    "a sum by einsum": lambda x: torch.einsum("bchw,bchw->bch", x, x).unsqueeze(-1),
    "a product with constants": lambda x: (x.flatten(2) @ x.new_ones(16, 16)).view_as(x),
    "another type and back": lambda x: x.double().sin().to(x.dtype),
    "detached": lambda x: x - x.detach().mean((2, 3), keepdim=True) / 2,
    "masked places": lambda x: x * (torch.arange(x.shape[-1]) < 2),
}  # fmt: skip
# The channels that only go together, by the number of units that remain; and why the others stay whole.
TOGETHER: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "a norm over two": (lambda x: F.group_norm(x, x.shape[1] // 2), 2),
    "a softmax over two": (lambda x: x.unflatten(1, (-1, 2)).softmax(2).flatten(1, 2), 2),
    "a maximum over two": (lambda x: x - x.unflatten(1, (-1, 2)).amax(2).repeat_interleave(2, 1), 2),
    "each with its neighbour": (lambda x: x + x.unflatten(1, (-1, 2)).flip(2).flatten(1, 2), 2),
    "attention among two": (
        lambda x: F.scaled_dot_product_attention(*[x.flatten(2).unflatten(1, (-1, 2)).mT] * 3).mT.reshape(x.shape),
        2,
    ),
}
WHOLE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "rolled channels": (lambda x: x.roll(1, 1), "cutting its channels is not masking them"),
    "a fixed order": (lambda x: x[:, ORDER], "cannot be cut: `"),
    "a fixed order, selected": (lambda x: x.index_select(1, ORDER), "cannot be cut: `"),
    "halves swapped": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), "cutting its channels is not masking them"),
    "scaled by the width": (lambda x: x / x.shape[1], "cutting its channels is not masking them"),
    "scaled by the place": (
        lambda x: x * torch.arange(1, 1 + x.shape[1]).view(1, -1, 1, 1),
        "cutting its channels is not masking them",
    ),
    "cumsum over channels": (lambda x: x.cumsum(1), "can only go together: cumsum in the network itself"),
    "softmax over channels": (lambda x: x.softmax(1), "can only go together: softmax in the network itself"),
    "sorted channels": (lambda x: x.sort(1).values, "can only go together: sort in the network itself"),
    "normalised": (lambda x: F.normalize(x, dim=1), "can only go together: a mean or maximum"),
    "local response norm": (lambda x: F.local_response_norm(x, 3), "can only go together: avg_pool"),
    "a maximum over neighbours": (
        lambda x: F.max_pool1d(x.flatten(2).mT, 3, 1, 1).mT.view_as(x),
        "can only go together: max_pool",
    ),
    "layer norm of the map": (lambda x: F.layer_norm(x, x.shape[1:]), "can only go together: layer norm"),
    "rms norm": (lambda x: F.rms_norm(x.mT.mT, x.shape[1:]), "can only go together"),
    "channel attention": (
        lambda x: (x.flatten(2) @ x.flatten(2).mT).softmax(-1).matmul(x.flatten(2)).view_as(x),
        "can only go together: a product of activations",
    ),
    "distances": (lambda x: torch.cdist(x.flatten(2).mT, x.flatten(2).mT).unsqueeze(1).expand(-1, 4, -1, -1), "runs"),
    "a kernel of activations": (
        lambda x: F.conv2d(x, x[:1, :, :1, :1].expand(4, -1, -1, -1)),
        "runs through a convolution with computed weights",
    ),
    "an unknown operator": (lambda x: torch.cummax(x, 2).values, "runs through cummax in the network itself"),
}  # fmt: skip


class OneOperation(Hidden):
    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.operation = operation

    def between(self, x: Tensor) -> Tensor:
        return self.operation(x)


def space(operation: Callable[[Tensor], Tensor]) -> ChannelSpace:
    """The space of a network that does this to its channels, after a look whether masked is extracted."""
    torch.manual_seed(0)
    model = OneOperation(operation).double()
    found = ChannelSpace(model, torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    images = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    for seed in range(3):
        mask = networks.random_mask(found, seed)
        there = functional_call(model, found.gate(dict(model.named_parameters()), mask.double()), (images,))
        here = found.extract(model, found.architecture(mask))(images)
        assert (here - there).abs().max() <= 1e-9 * there.abs().max()
    return found


@pytest.mark.parametrize("name", FREE)
def test_channels_stay_apart(name: str) -> None:
    found = space(FREE[name])
    assert found.graph.groups == {"stem": 4, "hidden": 3}
    assert found.graph.whole == {}


@pytest.mark.parametrize("name", TOGETHER)
def test_channels_go_together(name: str) -> None:
    operation, units = TOGETHER[name]
    assert space(operation).graph.groups == {"stem": units, "hidden": 3}


@pytest.mark.parametrize("name", WHOLE)
def test_channels_stay_whole(name: str) -> None:
    operation, reason = WHOLE[name]
    found = space(operation).graph
    assert found.groups == {"hidden": 3}
    assert list(found.whole) == ["stem"]
    assert reason in found.whole["stem"]
