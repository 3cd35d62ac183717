"""Large models that a file names, not the user: which of them are built, and how large they may be."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models.loader import build_large_model
from benchmark.models.registry import check_ref

PARAMETERS = 1_000_000_000
MODULES = 20_000
LARGEST = 65_536  # of a number among the options
LIBRARIES = ("own", "torchvision", "timm")
# What makes a constructor fetch, or open, something.
REACHING = re.compile(r"pretrained|checkpoint|weights|cache|hub|url|file|path$|dir$|_cfg|config")

Option = bool | int | float | Annotated[str, Field(max_length=64)] | None


class _Model(BaseModel):
    """A file's description of a large model; options may hold lists of numbers, too."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(max_length=200)]
    in_channels: Annotated[int, Field(ge=1, le=LARGEST)]
    classes: Annotated[int, Field(ge=1, le=1_000_000)]
    image_size: Annotated[int, Field(ge=1, le=4096)]
    options: dict[str, Option | Annotated[list[Option], Field(max_length=64)]]


class _TooLarge(Exception):
    pass


def check_described(description: Any) -> None:
    """Raise `BenchError` unless a description that a file holds is of a model to be built.

    That is one that the suite, torchvision or timm has under that name, of at most `PARAMETERS` parameters, by options
    that reach for nothing else. Nothing of its size is allocated for finding out.
    """
    try:
        model = _Model.model_validate(description)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["model", *map(str, first["loc"])])
        raise BenchError(f"{key}: {first['msg']}; the file is damaged, or made by hand") from error
    library, _, name = model.name.partition(":")
    if library not in LIBRARIES or not re.fullmatch(r"\w+(\.\w+)?", name, re.ASCII):
        raise BenchError(
            f"it names the large model {model.name!r}, whose code a file may not choose; expected own:, "
            "torchvision: or timm: and a name. If you know where the file is from, --trust builds it"
        )
    for key, value in model.options.items():
        numbers = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int | float)]
        if REACHING.search(key) or not all(abs(number) <= LARGEST for number in numbers):
            raise BenchError(
                f"the option {key!r} of its large model is not one that a file may choose; "
                "if you know where the file is from, --trust builds it"
            )
    check_ref(ModelRef(name=model.name), "model")
    _check_size(model.model_dump(), model.name)


def _check_size(description: Mapping[str, Any], name: str) -> None:
    # Some constructors compute with what they make, which the device without memory cannot; there the limit alone
    # holds, before a layer is filled.
    for device in ("meta", "cpu"):
        try:
            with _limited(), torch.device(device), torch.random.fork_rng(devices=[]):
                build_large_model(description)
            return
        except _TooLarge as error:
            raise BenchError(
                f"its large model {name} has more than {error}; if you know where the file is from, --trust builds it"
            ) from error
        except Exception:  # what cannot be built is told by who builds it
            continue


@contextmanager
def _limited() -> Iterator[None]:
    """Let nobody make a network of more than `PARAMETERS` parameters and buffers' entries, or `MODULES` modules."""
    entries = modules = 0

    def tensor(_module: nn.Module, _name: str, value: Tensor | None) -> None:
        nonlocal entries
        entries += 0 if value is None else value.numel()
        if entries > PARAMETERS:
            raise _TooLarge(f"{PARAMETERS:,} parameters")

    def module(_module: nn.Module, _name: str, _submodule: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > MODULES:
            raise _TooLarge(f"{MODULES:,} modules")

    with ExitStack() as stack:
        for register, hook in (
            (hooks.register_module_parameter_registration_hook, tensor),
            (hooks.register_module_buffer_registration_hook, tensor),
            (hooks.register_module_module_registration_hook, module),
        ):
            stack.callback(register(hook).remove)
        yield
