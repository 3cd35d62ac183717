"""The classifier of a large model: where it is, and another one in its place."""

from torch import nn

from benchmark.errors import BenchError
from benchmark.models.initialisation import initialise_layer
from benchmark.seeds import derive

Head = nn.Linear | nn.Conv2d


def head_names(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the layers that give the logits: one, or several where a model has several classifiers.

    timm's models say which they are. Of all others it is the last linear layer or, when there is none (SqueezeNet), the
    last convolution, provided it is 1x1. Raises `BenchError` for a network without such a layer.
    """
    stated = _stated(module)
    if stated:
        return stated
    layers = list(module.named_modules())
    linear = [name for name, layer in layers if isinstance(layer, nn.Linear)]
    if linear:
        return (linear[-1],)
    convolutions = [(name, layer) for name, layer in layers if isinstance(layer, nn.Conv2d)]
    if convolutions and convolutions[-1][1].kernel_size == (1, 1):
        return (convolutions[-1][0],)
    raise BenchError(f"{type(module).__name__}: has no linear layer that could be its classifier; use a model with one")


def freeze_body(module: nn.Module) -> dict[str, nn.Parameter]:
    """Leave nothing to be trained but the classifier; returns its parameters. In eval mode nothing else moves then."""
    heads = tuple(f"{name}." for name in head_names(module))
    parameters = dict(module.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name.startswith(heads))
    return {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}


def replace_head(module: nn.Module, classes: int, seed: int) -> None:
    """Put a freshly drawn classifier for `classes` classes in the place of the old one (of each, if several)."""
    for name in head_names(module):
        parent, _, leaf = name.rpartition(".")
        new = _like(module.get_submodule(name), classes)
        initialise_layer(new, name, derive(seed, "replace head"))
        setattr(module.get_submodule(parent), leaf, new)


def _stated(module: nn.Module) -> tuple[str, ...]:
    """The classifiers that a timm model's configuration names, as far as they are there."""
    configuration = getattr(module, "pretrained_cfg", None)
    named = configuration.get("classifier") if isinstance(configuration, dict) else None
    names = (named,) if isinstance(named, str) else tuple(named or ())
    # Some distilled models name only the first of their two classifiers.
    every = dict.fromkeys(twin for name in names for twin in (name, name.replace("head", "head_dist", 1)))
    layers = dict(module.named_modules())
    return tuple(name for name in every if isinstance(layers.get(name), Head))


def _like(old: nn.Module, classes: int) -> Head:
    if isinstance(old, nn.Linear):
        place = {"device": old.weight.device, "dtype": old.weight.dtype}
        return nn.Linear(old.in_features, classes, bias=old.bias is not None, **place)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(old.in_channels, classes, 1, bias=old.bias is not None)
    return new.to(old.weight.device, old.weight.dtype)
