"""Weights of a large model from elsewhere: those that its library publishes, or a file of one's own."""

import contextlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models.heads import head_names
from benchmark.models.loader import build_large_model
from benchmark.models.wrappers import unprefixed

State = dict[str, Tensor]
# Of classifiers on the way, which are not built, and torchvision's published files have them.
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")


def check_weights(ref: ModelRef, where: str) -> None:
    """Raise `BenchError`, beginning with the key `where`, when the file is not there, or nothing was published."""
    if ref.file is not None:
        path = Path(ref.file).expanduser()
        if not path.is_file():
            raise BenchError(f"{where}.file: {path} is no file; expected weights: .safetensors, or a state dict")
    elif ref.pretrained:
        try:
            published(ref.name)
        except BenchError as error:
            raise BenchError(f"{where}.pretrained: {error}") from error


def published(name: str) -> str:
    """Return the address of the weights that torchvision or timm publish for a model; `BenchError` if of none."""
    library, _, model = name.partition(":")
    address = None
    if library == "torchvision":
        address = _torchvision_weights(model).url
    elif library == "timm":
        import timm

        found = timm.get_pretrained_cfg(model)
        if found is not None and found.hf_hub_id:
            file = found.hf_hub_filename or "model.safetensors"
            address = f"https://huggingface.co/{found.hf_hub_id}/resolve/main/{file}"
        elif found is not None:
            address = found.url
    if not address:
        raise BenchError(f"there are no published weights of {name}; take another model, or name your own by `file`")
    return str(address)


def load_weights(network: nn.Module, ref: ModelRef, description: Mapping[str, Any]) -> bool:
    """Load the weights that `ref` names into the network in place; returns whether its classifier is theirs, too.

    The classifier stays as it is when theirs is for another number of classes, or they have none. A first convolution
    that sees three colours is spread over the network's channels. `BenchError` says what does not fit, or, without a
    network, which file to fetch.
    """
    if ref.file is None:
        where, state = ref.name, _published_state(ref, description)
    else:
        where, state = ref.file, read_state(Path(ref.file).expanduser())
    if ref.name.startswith("torchvision:"):
        state = {_renamed(key): value for key, value in state.items() if not key.startswith(_AUXILIARY)}
    state = unprefixed(state, network.state_dict())
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is not None and _fitted(network, state, description)[2]:
        # timm's own step from a published file to its model: other names, another size of images.
        with contextlib.suppress(Exception):  # on a file of another model, whose fault is told below
            state = convert(state, network)
    fitted, whole, fault = _fitted(network, state, description)
    if fault:
        raise BenchError(f"{where}: not the weights of {_called(description)}: {fault}; take a file of this very model")
    network.load_state_dict(fitted)
    return whole


def read_state(path: Path) -> State:
    """Read weights by name: a .safetensors file, or a state dict of tensors; a pickle of anything else is refused."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BenchError(f"{path}: no such file; expected weights: .safetensors, or a state dict") from error
    except UnpicklingError as error:
        raise BenchError(
            f"{path}: holds more than tensors, or is damaged, and is not unpickled; "
            "save the network's state_dict() with safetensors.torch.save_file"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BenchError(f"{path}: cannot be read as weights; expected .safetensors, or a state dict") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(item, Tensor) for item in content.values()):
        raise BenchError(f"{path}: expected a state dict, tensors by name; save the network's state_dict()")
    return dict(content)


def _published_state(ref: ModelRef, description: Mapping[str, Any]) -> State:
    address = published(ref.name)
    try:
        if ref.name.startswith("torchvision:"):
            weights = _torchvision_weights(ref.name.partition(":")[2])
            return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
        options = {**description["options"], "pretrained": True}
        donor = build_large_model({**description, "options": options})
    except Exception as error:
        # Every layer below has its own way to say that there is no network.
        raise BenchError(
            f"{ref.name}: its published weights cannot be fetched ({type(error).__name__}); "
            f"fetch {address} where there is a network, and name the file by `file` beside `pretrained`"
        ) from error
    state = donor.state_dict()
    configuration: Any = donor.pretrained_cfg
    if configuration["num_classes"] != description["classes"]:
        # timm has drawn another classifier at random.
        own = tuple(f"{name}." for name in head_names(donor, _image(description)))
        state = {key: value for key, value in state.items() if not key.startswith(own)}
    return state


def _torchvision_weights(name: str) -> Any:
    from torchvision import models

    return models.get_model_weights(name).DEFAULT


def _fitted(network: nn.Module, state: State, description: Mapping[str, Any]) -> tuple[State, bool, str]:
    """The state dict that the network gets, whether all of it is in `state`, and what else does not fit."""
    own = network.state_dict()
    heads = tuple(f"{name}." for name in head_names(network, _image(description)))
    first = next((f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.Conv2d)), "")
    result, whole = dict(own), True
    for key, mine in own.items():
        theirs = state.get(key)
        if theirs is not None and key == first and theirs.ndim == 4:
            theirs = _spread(theirs, mine)
        if theirs is not None and theirs.shape == mine.shape:
            result[key] = theirs
        elif key.startswith(heads) and (theirs is None or theirs.shape[1:] == mine.shape[1:]):
            whole = False
        elif theirs is not None:
            return {}, False, f"{key} has shape {_shape(theirs)}, expected {_shape(mine)}"
        elif not key.endswith("num_batches_tracked"):
            return {}, False, f"{key} is missing"
    if not whole:
        # A classifier is taken as a whole, or not at all.
        result |= {key: mine for key, mine in own.items() if key.startswith(heads)}
    more = next((key for key in state if key not in own and not key.startswith(heads)), None)
    return result, whole, "" if more is None else f"{more} is not in that model"


def _spread(theirs: Tensor, mine: Tensor) -> Tensor:
    """Filters of three colours for other channels: their mean, scaled so that a grey image gives what it gave."""
    if theirs.shape[1] != 3 or mine.shape[1] == 3 or mine.ndim != 4:
        return theirs
    channels = mine.shape[1]
    return theirs.float().mean(1, keepdim=True).expand(-1, channels, -1, -1) * (3 / channels)


def _renamed(key: str) -> str:
    """A name of torchvision's published DenseNets as its present code has it: `norm.1` became `norm1`."""
    return re.sub(r"(\.denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", key)


def _image(description: Mapping[str, Any]) -> Tensor:
    """A black image as the described model takes it."""
    size = description["image_size"]
    return torch.zeros(1, description["in_channels"], size, size)


def _called(description: Mapping[str, Any]) -> str:
    size = description["image_size"]
    return f"{description['name']} for {size}x{size} pixels"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"
