"""The order in memory that a network runs in: channels last, which convolutions are fastest in, where it can."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.models.copying import copied
from benchmark.models.output_layers import undisturbed

# oneDNN takes channels in blocks of so many. On machines without AVX-512 its gradient of a strided 1x1 kernel of fewer
# channels writes past the end of memory in the channels-last layout (v3.13, which torch 2.15 comes with).
_BLOCK = 8


def settle_layout(network: nn.Module, image: Tensor) -> None:
    """Let a network that cannot run in the channels-last layout take its images in the usual one from now on.

    Networks that flatten maps by `view` are such. `image` [1, C, H, W] is one that it takes. What runs in neither
    layout is left as it is. Copies of the network keep the setting.
    """
    if _runs(_channels_last(copied(network)), image, torch.channels_last):
        return
    if not _contiguous_only(network) and _runs(network, image, torch.contiguous_format):
        network.register_forward_pre_hook(_contiguous)


def in_layout(network: nn.Module) -> nn.Module:
    """Return the network with its weights in the layout that it runs in."""
    return network if _contiguous_only(network) else _channels_last(network)


def is_order(hook: object) -> bool:
    """Return whether a hook does nothing but put what a module is given in the usual order."""
    return hook is _contiguous


def _channels_last(network: nn.Module) -> nn.Module:
    # Not `Module.to`, which would have the kernels of three-dimensional convolutions in this layout, too.
    network._apply(lambda tensor: tensor.to(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _overruns(module):
            for kernel in module.parameters(recurse=True):
                kernel.data = kernel.detach().clone(memory_format=torch.contiguous_format)
            if not _contiguous_only(module):
                module.register_forward_pre_hook(_contiguous)
    return network


def _overruns(layer: nn.Conv2d) -> bool:
    return set(layer.kernel_size) == {1} and max(layer.stride) > 1 and layer.in_channels < _BLOCK


def _runs(network: nn.Module, image: Tensor, layout: torch.memory_format) -> bool:
    # Of one image, or of maps of one channel, both layouts are the same.
    images = torch.cat([image, image]).contiguous(memory_format=layout)
    try:
        with undisturbed(network), torch.no_grad():
            network(images)
    except Exception:  # whatever a network says of what it does not take
        return False
    return True


def _contiguous_only(network: nn.Module) -> bool:
    return any(map(is_order, network._forward_pre_hooks.values()))


def _contiguous(_network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    # Images of one channel are contiguous in both layouts, and go on in the one that their strides say.
    return tuple(one.clone(memory_format=torch.contiguous_format) if isinstance(one, Tensor) else one for one in given)
