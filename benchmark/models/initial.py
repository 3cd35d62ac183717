"""Initial weights from an explicit seed, for large models and for networks extracted from them."""

import math

import torch
from torch import nn

from benchmark.errors import BenchError
from benchmark.seeds import derive, generator

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm)


def initialise(module: nn.Module, seed: int) -> None:
    """Re-draw every parameter of `module` in place; equal seeds and shapes give equal weights.

    Convolutions: normal with variance 2 / fan-in (He et al. 2015), bias 0; the fan-in is that of
    the present shape, so an extracted network is drawn for its own width. Linear layers: uniform
    in +-1/sqrt(fan-in), weights and bias (PyTorch's default). Normalisation: scale 1, shift 0,
    running statistics reset. Each layer has its own generator, derived from `seed` and its name,
    so that a layer's draw does not depend on the other layers. Draws are made in float32 on the CPU.

    Raises `BenchError` for a layer with parameters of another kind.
    """
    for name, layer in module.named_modules():
        _initialise_layer(layer, name, seed)


def head_name(module: nn.Module) -> str:
    """Return the name of the classifier: the last linear layer. `BenchError` when there is none."""
    names = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not names:
        raise BenchError(
            f"{type(module).__name__}: has no linear layer that could be its classifier; use a model with one"
        )
    return names[-1]


def replace_head(module: nn.Module, classes: int, seed: int) -> None:
    """Put a freshly drawn linear classifier for `classes` classes in the place of the old one."""
    parent_name, _, leaf = head_name(module).rpartition(".")
    parent = module.get_submodule(parent_name)
    old = getattr(parent, leaf)
    new = nn.Linear(
        old.in_features, classes, bias=old.bias is not None, device=old.weight.device, dtype=old.weight.dtype
    )
    _initialise_layer(new, leaf, derive(seed, "replace head"))
    setattr(parent, leaf, new)


@torch.no_grad()
def _initialise_layer(layer: nn.Module, name: str, seed: int) -> None:
    if isinstance(layer, CONVOLUTIONS):
        fan_in = layer.weight[0].numel()
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator(seed, name)) * math.sqrt(2 / fan_in))
        if layer.bias is not None:
            layer.bias.zero_()
    elif isinstance(layer, nn.Linear):
        bound = 1 / math.sqrt(layer.in_features)
        draw = generator(seed, name)
        for parameter in (layer.weight, layer.bias):
            if parameter is not None:
                parameter.copy_((torch.rand(parameter.shape, generator=draw) * 2 - 1) * bound)
    elif isinstance(layer, NORMS):
        layer.reset_parameters()
    elif next(layer.parameters(recurse=False), None) is not None:
        raise BenchError(f"{name}: no initial law for a layer of type {type(layer).__name__}; add one to initialise()")
