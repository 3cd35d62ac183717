"""From an architecture file to a network that runs, and back: extraction, and networks as files."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from benchmark import models, seeds
from benchmark.config import ModelRef
from benchmark.errors import BenchError
from benchmark.files import atomic_write, write_json
from benchmark.space import Architecture, ChannelSpace, SearchSpace, build_space, count
from benchmark.space.container import SCHEMA, decode, encode
from benchmark.space.state import unpack_state


def large_model(architecture: Architecture, ref: ModelRef | None = None) -> nn.Module:
    """Return the large model that an architecture was found in, with the initial weights of its seed.

    What to build stands in the architecture's metadata; `ref` names another model instead. Raises `BenchError` when
    the metadata do not say it.
    """
    channels, size = _shape(architecture.meta)
    chosen = ref or _ref(architecture.meta)
    network = models.build(chosen, channels, architecture.meta["classes"], size)
    models.initialise(network, seeds.derive(architecture.meta.get("seed", 0), "init"))
    return network


def space_of(model: nn.Module, architecture: Architecture) -> SearchSpace:
    """Return the search space of `model` in the architecture's granularity and kind of cost."""
    channels, size = _shape(architecture.meta)
    example = torch.zeros(1, channels, size, size, device=next(model.parameters()).device)
    return build_space(model, example, architecture.granularity, architecture.meta.get("cost", "params"))


def extract(model: nn.Module, architecture: Architecture) -> nn.Module:
    """Return the sub-network of `model` as a network of its own, with the weights that `model` has.

    At channel granularity it is physically smaller, at weight granularity its pruned weights are zero. `model` is
    untouched. Raises `BenchError` when the architecture was made for another model.
    """
    return space_of(model, architecture).extract(model, architecture)


def load_weights(model: nn.Module, architecture: Architecture, path: Path) -> None:
    """Load weights into the large model in place: a pruner's own (`.weights.safetensors`), or a full state dict.

    Raises `BenchError` for a file that is a pickle, damaged, or of another model or architecture.
    """
    space = space_of(model, architecture)
    mask = space.mask(architecture)
    try:
        with safe_open(path, "pt") as file:
            packed = any(key.startswith("dapbench-") for key in file.metadata() or {})
    except (SafetensorError, OSError):
        packed = True  # the reader below says what is wrong with it
    if packed:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BenchError(f"{path}: cannot be read ({error.strerror}); expected a safetensors file") from error
        state = unpack_state(space, mask, content, str(path))
    else:
        state = load_file(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in [*space.shapes, *shapes]:
        if shapes.get(name) != space.shapes.get(name):
            raise BenchError(f"{path}: weights of another model ({name} differs); give those of the large model")
    model.load_state_dict(state)


def save_network(network: nn.Module, architecture: Architecture, path: Path, weights: str) -> None:
    """Write an extracted network: its tensors to `path` (safetensors), its description also beside it as JSON.

    `weights` says where the weights come from. `load_network` reads the file back. Both files appear whole or not at
    all; `BenchError` when they cannot be written.
    """
    channels, size = _shape(architecture.meta)
    params, macs = count(network, torch.zeros(1, channels, size, size))
    description = {
        "schema": SCHEMA,
        "granularity": architecture.granularity,
        "kept": architecture.kept,
        "sizes": architecture.sizes,
        "architecture": architecture.digest,
        "meta": architecture.meta,
        "weights": weights,
        "params": params,
        "macs": macs,
        "layers": [_layer(name, module) for name, module in network.named_modules() if not list(module.children())],
    }
    tensors = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    atomic_write(path, encode("network", description, tensors))
    write_json(path.with_suffix(".json"), description)


def load_network(path: Path) -> nn.Module:
    """Return the network that `save_network` wrote, in eval mode.

    Raises `BenchError` for a file that is missing, a pickle, damaged, or not an extracted network.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror}); `dapbench extract` writes such a file") from error
    description, tensors = decode("network", content, str(path))
    meta = description["meta"]
    channels, size = _shape(meta)
    network = models.build(_ref(meta), channels, meta["classes"], size)
    if description["granularity"] == "channel":
        space = ChannelSpace(network, torch.zeros(1, channels, size, size))
        # The tensors decide; of the mask only the widths matter.
        network = space.extract(network, space.architecture(space.mask_of_kept(description["kept"])))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise BenchError(f"{path}: its tensors do not fit its description; extract it again") from error
    return network.eval()


def _layer(name: str, module: nn.Module) -> dict[str, Any]:
    shapes = {key: list(tensor.shape) for key, tensor in module.named_parameters(recurse=False)}
    return {"name": name, "type": type(module).__name__, "parameters": shapes}


def _ref(meta: dict[str, Any]) -> ModelRef:
    if "model" not in meta:
        raise BenchError("architecture: its metadata do not name the large model; name it (--model)")
    return ModelRef(**meta["model"])


def _shape(meta: dict[str, Any]) -> tuple[int, int]:
    if "input" not in meta or "classes" not in meta:
        raise BenchError(
            "architecture: its metadata lack the input shape or the classes; write it with dapbench search"
        )
    channels, _, size = meta["input"]
    return int(channels), int(size)
