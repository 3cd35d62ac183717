"""Initial weights from an explicit seed, for large models and for networks extracted from them."""

import math

import torch
from torch import Tensor, nn

from benchmark.seeds import generator

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_LAWS = "_initial_laws"  # the attribute of a layer where the laws of its other parameters are noted


def initialise(module: nn.Module, seed: int) -> None:
    """Re-draw every parameter of `module` in place; equal seeds and shapes give equal weights.

    Convolutions: normal with variance 2 / fan-in (He et al. 2015), bias 0; the fan-in is that of
    the present shape, so an extracted network is drawn for its own width. Linear layers: uniform
    in +-1/sqrt(fan-in), weights and bias (PyTorch's default), and so `nn.MultiheadAttention`'s joint projection of its
    input. Normalisation: scale 1, shift 0, running statistics reset.

    All other parameters (class tokens, tables of positions, layer scales, ...) keep the law that the model's
    constructor gave them: one whose values were all equal is set to that value again, any other is normal with the
    mean and standard deviation it had, whatever its present shape. They are noted on the layer when it is initialised
    for the first time, which `build` does. A parameter that is not trained (`requires_grad` false) stays as it is.

    Each layer has its own generator, derived from `seed` and its name, so that a layer's draw does not depend on the
    other layers. Draws are made in float32 on the CPU.
    """
    for name, layer in module.named_modules():
        initialise_layer(layer, name, seed)


@torch.no_grad()
def initialise_layer(layer: nn.Module, name: str, seed: int) -> None:
    """Re-draw the parameters that `layer`, called `name`, has itself; its children's stay."""
    known: tuple[str, ...] = ("weight", "bias")
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
                parameter.copy_(_uniform(parameter, bound, draw))
    elif isinstance(layer, NORMS):
        layer.reset_parameters()
    else:
        known = ()
    for key, parameter in layer.named_parameters(recurse=False):
        if key not in known and parameter.requires_grad:
            _initialise_other(layer, key, parameter, generator(seed, name, key))


def _initialise_other(layer: nn.Module, key: str, parameter: Tensor, draw: torch.Generator) -> None:
    if key == "in_proj_weight":
        parameter.copy_(_uniform(parameter, 1 / math.sqrt(parameter.shape[1]), draw))
        return
    mean, deviation = layer.__dict__.setdefault(_LAWS, {}).setdefault(key, _law(parameter))
    parameter.copy_(torch.randn(parameter.shape, generator=draw) * deviation + mean)


def _uniform(parameter: Tensor, bound: float, draw: torch.Generator) -> Tensor:
    return (torch.rand(parameter.shape, generator=draw) * 2 - 1) * bound


def _law(parameter: Tensor) -> tuple[float, float]:
    """The mean and standard deviation of a parameter's values, to three digits: no sum's rounding is in them."""
    values = parameter.detach().double()
    if not values.numel():
        return 0.0, 0.0
    if values.numel() < 2 or bool((values == values.flatten()[0]).all()):
        return float(values.flatten()[0]), 0.0
    deviation = float(f"{values.std(correction=0).item():.3g}")
    mean = float(f"{values.mean().item():.3g}")
    # Of a table drawn around zero the mean is chance.
    return (0.0 if abs(mean) < 0.1 * deviation else mean), deviation
