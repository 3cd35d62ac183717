"""Which large models there are, and how a name in params.yaml becomes a network."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError, unknown
from benchmark.models import own
from benchmark.models.initialisation import initialise
from benchmark.models.layout import in_layout, settle_layout
from benchmark.models.loader import build_large_model, own_model
from benchmark.models.pretrained import check_weights, load_weights
from benchmark.models.usable import output_fault

LIBRARIES = ("own", "torchvision", "timm", "python")
# What the suite itself says to every constructor.
_SET = ("in_channels", "classes", "image_size", "width", "num_classes", "in_chans", "weights", "pretrained")


def model_names(library: str = "own") -> list[str]:
    """Return the names of a library's models, sorted: `own:NAME` for every file of benchmark/models/own/.

    For torchvision all its classifiers, for timm all its models. The models of `python` cannot be listed.
    """
    found: Iterable[str] = ()
    if library == "own":
        found = (module.name for module in pkgutil.iter_modules(own.__path__))
    elif library == "torchvision":
        from torchvision import models

        found = models.list_models(module=models)
    elif library == "timm":
        import timm

        found = timm.list_models()
    return sorted(f"{library}:{name}" for name in found)


def check_form(ref: ModelRef, where: str) -> None:
    """Raise `BenchError`, beginning with the key `where`, when `ref` cannot name a model; no library is asked."""
    library, _, name = ref.name.partition(":")
    if library not in LIBRARIES or library == "own":
        if ref.name not in model_names():
            error = unknown("model", ref.name, model_names(), f"{where}.name")
            raise BenchError(f"{error}, torchvision:NAME, timm:NAME, python:package.module:factory")
    elif library == "python" and not all(name.partition(":")):
        raise BenchError(f"{where}.name: {ref.name!r}; expected python:package.module:factory")
    if ref.width != 1 and library != "own":
        raise BenchError(
            f"{where}.width: only own: models have a width; remove it, or take another size of {library}'s"
        )
    for option in ref.options:
        if option in _SET:
            raise BenchError(f"{where}.options: {option!r} is the suite's to set; remove it")
    if ref.pretrained and ref.file is None and library not in ("torchvision", "timm"):
        raise BenchError(f"{where}.pretrained: nobody publishes weights of {library}: models; name your own by `file`")


def check_ref(ref: ModelRef, where: str) -> None:
    """Raise `BenchError`, beginning with the key `where`, when `ref` names no model or its weights cannot be there.

    Weights are not fetched, nor are those of a file read: `build` does it.
    """
    check_form(ref, where)
    library, _, name = ref.name.partition(":")
    if library == "torchvision" and ref.name not in model_names(library):
        raise _unknown(ref.name, model_names(library), f"{where}.name")
    if library == "timm":
        import timm

        # A tag behind the dot is one of several published weights.
        architecture, _, tag = name.partition(".")
        if not timm.is_model(architecture):
            raise _unknown(ref.name, model_names(library), f"{where}.name")
        tagged = timm.models.get_arch_pretrained_cfgs(architecture)
        if tag and name not in tagged:
            raise unknown("model", ref.name, [f"timm:{known}" for known in tagged], f"{where}.name")
    if library == "python":
        _check_factory(name, f"{where}.name")
    check_weights(ref, where)


def model_class(name: str) -> type[nn.Module]:
    """Return the class behind `own:NAME`; its docstring says what it is and where it comes from."""
    if name not in model_names():
        raise unknown("model", name, model_names(), "model")
    return own_model(name.removeprefix("own:"))


def build(ref: ModelRef, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """Return the large model for images [N, in_channels, image_size, image_size].

    Its weights are those that `ref` names (see `build_pretrained`), else those of seed 0: call `initialise` for others.
    Raises `BenchError` for an unknown name, and where the model cannot be built or its weights cannot be had.
    """
    if ref.trained:
        return build_pretrained(ref, in_channels, classes, image_size)[0]
    check_ref(ref, "model")
    description = describe(ref, in_channels, classes, image_size)
    try:
        # A constructor may draw as it likes: nobody else's draws change, and what it draws is always the same.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build_large_model(description)
    except Exception as error:
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        raise BenchError(
            f"{ref.name}: cannot be built for {_input(in_channels, image_size)} and {classes} classes ({fault}); "
            "choose another model, size or options"
        ) from error
    initialise(network, 0)
    if not ref.name.startswith("own:"):
        settle_layout(network, torch.zeros(1, in_channels, image_size, image_size))
    return network


def build_pretrained(ref: ModelRef, in_channels: int, classes: int, image_size: int) -> tuple[nn.Module, bool]:
    """Return the large model with weights from elsewhere, and whether they have a classifier for so many classes.

    If not, the classifier is that of seed 0. A first convolution for three colours is adapted to `in_channels`.
    """
    network = build(ref.untrained(), in_channels, classes, image_size)
    return network, load_weights(network, ref, describe(ref, in_channels, classes, image_size))


def check_images(network: nn.Module, ref: ModelRef, in_channels: int, classes: int, image_size: int) -> None:
    """Raise `BenchError` unless `network` makes logits of such images, in training and afterwards.

    Images and weights are in the layout that jobs have them in. Moves statistics.
    """
    images = torch.zeros(2, in_channels, image_size, image_size).contiguous(memory_format=torch.channels_last)
    in_layout(network)
    for training in (True, False):
        try:
            with torch.no_grad():
                logits = network.train(training)(images)
        except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
            fault = " ".join(f"{type(error).__name__}: {error}".split())
        else:
            fault = output_fault(logits, 2, classes)
        if fault:
            fault = f"in training, {fault}" if training else fault
            raise BenchError(
                f"{ref.name}: cannot classify {_input(in_channels, image_size)} ({fault}); "
                "choose another model, options, or `size` of the data sets"
            )


def describe(ref: ModelRef, in_channels: int, classes: int, image_size: int) -> dict[str, Any]:
    """Return the JSON from which `benchmark.models.loader.build_large_model` makes the same network again."""
    own_options = {"width": ref.width} if ref.name.startswith("own:") else {}
    return {
        "name": ref.name,
        "in_channels": in_channels,
        "classes": classes,
        "image_size": image_size,
        "options": own_options | ref.options,
    }


def _check_factory(name: str, where: str) -> None:
    module, _, function = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise BenchError(
            f"{where}: {module} cannot be imported ({error}); install it, or put its folder on PYTHONPATH"
        ) from error
    if not callable(getattr(found, function, None)):
        raise BenchError(f"{where}: {module} has no function {function!r}; expected python:package.module:factory")


def _unknown(name: str, names: list[str], where: str) -> BenchError:
    library = name.partition(":")[0]
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(map(repr, close))}? " if close else ""
    return BenchError(f"{where}: unknown model {name!r}; {hint}`dapbench models {library}:` lists all {len(names)}")


def _input(in_channels: int, image_size: int) -> str:
    return f"images of {image_size}x{image_size} pixels in {in_channels} channel{'s' * (in_channels > 1)}"
