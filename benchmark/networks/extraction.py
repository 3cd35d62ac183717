"""From an architecture file to a network that runs, and back: extraction, and networks as files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from benchmark import models, seeds
from benchmark.config.params import ModelRef, parse
from benchmark.errors import BenchError
from benchmark.files import atomic_write, file_sha256, write_json
from benchmark.models import foreign, loader
from benchmark.models.copying import copied
from benchmark.models.usable import check_network
from benchmark.models.wrappers import unprefixed, unwrapped
from benchmark.networks.changes import check_changes
from benchmark.networks.subnetwork import SubNetwork, architecture_of
from benchmark.space import Architecture, SearchSpace, build_space, count
from benchmark.space.foreign import check_meta
from benchmark.space.safetensors_file import SCHEMA, decode, encode
from benchmark.space.weights_file import unpack_state


def large_model(
    architecture: Architecture, ref: ModelRef | None = None, trained: bool = True, trust: bool = False
) -> nn.Module:
    """Return the large model that an architecture was found in, with the initial weights of its seed.

    What to build stands in the architecture's metadata; `ref` names another model instead. A model with weights from
    elsewhere has those, unless `trained` is false: then they need not be at hand. Unless the metadata are to be
    trusted, they choose models of the suite, torchvision and timm, of bounded size, and no weights. Raises `BenchError`
    when they do not say which model it is, and when its weights cannot be had, or are not those of the search.
    """
    channels, size = _shape(architecture.meta)
    chosen = ref or model_ref(architecture.meta)
    if not trained:
        chosen = chosen.untrained()
    if ref is None and not trust:
        foreign.check_described(models.describe(chosen, channels, architecture.meta["classes"], size))
        if chosen.trained:
            raise BenchError(
                f"its large model has weights from elsewhere ({chosen.file or 'published ones'}), which a file may not "
                "fetch; name weights of your own (--state), or, if you know where the file is from, --trust"
            )
    _check_weights(chosen, architecture.meta)
    network = models.build(chosen, channels, architecture.meta["classes"], size)
    if not chosen.trained:
        models.initialise(network, seeds.derive(architecture.meta.get("seed", 0), "init"))
    return network


def _check_weights(ref: ModelRef, meta: dict[str, Any]) -> None:
    """Raise `BenchError` when the file of weights is not the one that the search had."""
    wanted = meta.get("pretrained")
    if ref.file is not None and wanted is not None and (path := Path(ref.file).expanduser()).is_file():
        found = file_sha256(path)
        if found != wanted:
            raise BenchError(
                f"{path}: not the weights that the architecture was found with (SHA-256 {found[:12]}, {wanted[:12]} "
                "expected); restore them, or name others with --state"
            )


def space_of(model: nn.Module, architecture: Architecture) -> SearchSpace:
    """Return the search space of `model` in the architecture's granularity and kind of cost."""
    channels, size = _shape(architecture.meta)
    check_network(model)
    example = example_of(model, (channels, size, size))
    return build_space(model, example, architecture.granularity, architecture.meta.get("cost", "params"))


def extract(model: nn.Module, found: Architecture | SubNetwork, space: SearchSpace | None = None) -> nn.Module:
    """Return the sub-network of `model` as a network of its own: with its pruner's weights, else those of `model`.

    An `Architecture` has no weights, nor has a `SubNetwork` whose `state` is None. At channel granularity the network
    is physically smaller, at weight granularity its pruned weights are zero. `model` is untouched. `space` is its
    search space, where that is at hand: building one of a large model takes a while. Raises `BenchError` when the
    architecture was made for another model.
    """
    architecture = architecture_of(found)
    model = unwrapped(model)
    space = space or space_of(model, architecture)
    space.mask(architecture)  # refuses another model before its weights are touched
    if isinstance(found, SubNetwork) and found.state is not None:
        model = copied(model)
        model.load_state_dict(found.state)
    return space.extract(model, architecture)


def load_weights(model: nn.Module, architecture: Architecture, path: Path, space: SearchSpace | None = None) -> None:
    """Load weights into the large model in place: a pruner's own (`.weights.safetensors`), or a full state dict.

    `space` is the model's search space, where that is at hand. Raises `BenchError` for a file that is a pickle,
    damaged, or of another model or architecture.
    """
    model = unwrapped(model)
    space = space or space_of(model, architecture)
    mask = space.mask(architecture)
    try:
        with safe_open(path, "pt") as file:
            packed = any(key.startswith("dapbench-") for key in file.metadata() or {})
    except (SafetensorError, OSError):
        packed = True  # the reader below says what is wrong with it
    if packed:
        state = unpack_state(space, mask, _read(path, "expected a safetensors file"), str(path))
    else:
        state = unprefixed(load_file(path), space.shapes)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in [*space.shapes, *shapes]:
        if shapes.get(name) != space.shapes.get(name):
            raise BenchError(f"{path}: weights of another model ({name} differs); give those of the large model")
    model.load_state_dict(state)


def save_network(
    network: nn.Module, architecture: Architecture, path: Path, weights: str, space: SearchSpace | None = None
) -> None:
    """Write an extracted network: its tensors to `path` (safetensors), its description also beside it as JSON.

    The description says which large model to build and what to change in it; `load_network` reads the file back, and
    so does `benchmark/models/loader.py` without this package. `weights` says where the weights come from, `space` is
    the large model's search space, where that is at hand. Both files appear whole or not at all; `BenchError` when they
    cannot be written.
    """
    channels, size = _shape(architecture.meta)
    model = models.describe(model_ref(architecture.meta), channels, architecture.meta["classes"], size)
    if space is None:
        space = space_of(loader.build_large_model(model), architecture)
    params, macs = count(network, example_of(network, architecture.meta["input"]))
    description = {
        "schema": SCHEMA,
        "model": model,
        "changes": space.changes(space.mask(architecture)),
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
    # Of their own, because safetensors refuses tensors that share their memory.
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    atomic_write(path, encode("network", description, tensors))
    write_json(path.with_suffix(".json"), description)


def load_network(path: Path, trust: bool = False) -> nn.Module:
    """Return the network that `save_network` wrote, in eval mode.

    The file chooses among the models of the suite, torchvision and timm, of bounded size; with `trust` also one of
    `python:`, whose module is then imported, and of any size. Raises `BenchError` for another one, for a file that is
    missing, a pickle, damaged, or not an extracted network, and when the library of its large model is not installed.
    """
    return open_network(path, trust)[1]


def open_network(path: Path, trust: bool = False) -> tuple[dict[str, Any], nn.Module]:
    """Return the description of the network that `save_network` wrote, and the network as `load_network` gives it."""
    content = _read(path, "`dapbench extract` writes such a file")
    try:
        description, tensors = decode("network", content, str(path))
    except RecursionError as error:
        raise BenchError(f"{path}: its description is damaged; extract it again") from error
    check_meta(description.get("meta", {}), str(path))

    def build() -> nn.Module:
        if not trust:
            foreign.check_described(description["model"])
        check_changes(description["changes"])
        return loader.rebuild(description, tensors)

    network = _rebuilt(path, build)
    if sum(parameter.numel() for parameter in network.parameters()) != description.get("params"):
        raise BenchError(f"{path}: its tensors do not fit its description; extract it again")
    return description, network


def dense_network(path: Path, description: dict[str, Any]) -> nn.Module:
    """Return the large model of the network in `path`, as `open_network` let it pass, with random weights."""
    return _rebuilt(path, lambda: loader.build_large_model(description["model"])).eval()


def example_of(network: nn.Module, shape: Sequence[int], batch: int = 1) -> torch.Tensor:
    """Return a batch of black images [channels, height, width] as the network takes them: its type, its device."""
    like = next(network.parameters())
    return torch.zeros(batch, *shape, dtype=like.dtype, device=like.device)


def _read(path: Path, expected: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror}); {expected}") from error


def _rebuilt(path: Path, build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` makes of the description in `path`; what is wrong with that, in one line."""
    try:
        with torch.random.fork_rng(devices=[]):  # the random weights that are replaced change nobody's draws
            return build()
    except ImportError as error:
        raise BenchError(
            f"{path}: its large model needs {error.name}; install it (pip install {error.name})"
        ) from error
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from error
    except KeyError as error:
        raise BenchError(f"{path}: lacks {error}; extract it again") from error
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise BenchError(
            f"{path}: its large model cannot be built as it says ({_first_line(error)}); "
            "use the version of its library that it was made with, or extract it again"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _layer(name: str, module: nn.Module) -> dict[str, Any]:
    shapes = {key: list(tensor.shape) for key, tensor in module.named_parameters(recurse=False)}
    return {"name": name, "type": type(module).__name__, "parameters": shapes}


def model_ref(meta: dict[str, Any]) -> ModelRef:
    """Return the large model that an architecture's metadata name; `BenchError` when they do not."""
    if "model" not in meta:
        raise BenchError("architecture: its metadata do not name the large model; name it (--model)")
    return parse(ModelRef, meta["model"], "architecture", "model")


def _shape(meta: dict[str, Any]) -> tuple[int, int]:
    known = check_meta(meta, "architecture")
    if known.input is None or known.classes is None:
        raise BenchError(
            "architecture: its metadata lack the input shape or the classes; write it with dapbench search"
        )
    channels, _, size = known.input
    return channels, size
