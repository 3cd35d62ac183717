"""A run of a network in which every operator can be seen, and after which the network is as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_operators(module: nn.Module) -> Iterator[None]:
    """Let `module` run in eval mode, without gradients, and attention and recurrence as products that can be seen."""
    training = {layer: layer.training for layer in module.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    # oneDNN and cuDNN run recurrent layers as one operator. (The public switch of oneDNN warns of Intel GPUs.)
    fused = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    forget(module)
    module.eval()
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            torch.backends.cudnn.flags(enabled=False),
        ):
            yield
    finally:
        torch._C._set_mkldnn_enabled(fused)
        torch.backends.mha.set_fastpath_enabled(fast)
        forget(module)
        for layer, mode in training.items():
            layer.training = mode


def forget(module: nn.Module) -> None:
    """Let layers drop what they keep of their parameters in eval mode (attention biases): they do when they train."""
    training = {layer: layer.training for layer in module.modules()}
    if all(training.values()):
        return
    module.train()
    for layer, mode in training.items():
        layer.training = mode
