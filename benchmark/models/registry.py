"""Which large models there are, and how a name in params.yaml becomes a network."""

import importlib
import pkgutil
from typing import Any

from torch import nn

from benchmark.config import ModelRef
from benchmark.errors import unknown
from benchmark.models import own
from benchmark.models.initial import initialise

PREFIX = "own:"


def model_names() -> list[str]:
    """Return the names of all large models, sorted: `own:NAME` for every file of benchmark/models/own/."""
    return sorted(PREFIX + module.name for module in pkgutil.iter_modules(own.__path__))


def check_ref(ref: ModelRef, where: str) -> None:
    """Raise `BenchError`, beginning with the key `where`, when `ref` names no model."""
    if ref.name not in model_names():
        raise unknown("model", ref.name, model_names(), f"{where}.name")


def model_class(name: str) -> type[nn.Module]:
    """Return the class behind `name`; its docstring says what it is and where it comes from."""
    check_ref(ModelRef(name=name), "model")
    module = importlib.import_module(f"{own.__name__}.{name.removeprefix(PREFIX)}")
    wanted = name.removeprefix(PREFIX)
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__name__.lower() == wanted
    )


def build(ref: ModelRef, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """Return the large model for images [N, in_channels, image_size, image_size], with the weights of seed 0.

    Call `initialise` for other weights. Raises `BenchError` for an unknown name.
    """
    module = model_class(ref.name)(in_channels=in_channels, classes=classes, image_size=image_size, width=ref.width)
    initialise(module, 0)
    return module


def describe(ref: ModelRef, in_channels: int, classes: int, image_size: int) -> dict[str, Any]:
    """Return the JSON description from which `build` makes the same network again."""
    return {
        "name": ref.name,
        "width": ref.width,
        "in_channels": in_channels,
        "classes": classes,
        "image_size": image_size,
    }
