"""Load a network that `dapbench extract` wrote, without this package: copy this one file next to it.

    from loader import load
    network = load("network.safetensors")

Needs torch, safetensors, and the library of the large model (torchvision, timm, or a module of your own). The file
holds tensors and, in its header, a JSON description: which large model to build, what to change in its modules, and
the names of the tensors. Nothing is unpickled.
"""

import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

OWN = "benchmark.models.own"
STATING = frozenset({"reshape", "view", "expand", "split", "__getitem__"})  # functions whose calls state sizes
_SIZES = ("shape", "size", "split_size", "split_sizes", "split_size_or_sections")  # the names by which they take them


def load(path: str | Path) -> nn.Module:
    """Return the network that `dapbench extract` wrote to `path`, in eval mode; `ValueError` for any other file."""
    with safe_open(path, "pt") as file:
        header = (file.metadata() or {}).get("dapbench-network")
        if header is None:
            raise ValueError(f"{path}: not a network of `dapbench extract`")
        description = json.loads(header)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    return rebuild(description, tensors)


def rebuild(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the network of a file's description and tensors, in eval mode."""
    network = build_large_model(description["model"])
    apply_changes(network, description["changes"], tensors)
    return network.eval()


def build_large_model(model: Mapping[str, Any]) -> nn.Module:
    """Return the large model of a description: name, in_channels, classes, image_size, options. Weights are random."""
    library, _, name = model["name"].partition(":")
    channels, classes, size = model["in_channels"], model["classes"], model["image_size"]
    if library == "torchvision":
        return _torchvision(name, channels, classes, size, model["options"])
    if library == "timm":
        return _timm(name, {"in_chans": channels, "num_classes": classes, **model["options"]}, size)
    module, _, factory = name.partition(":")
    maker: Any = own_model(name) if library == "own" else getattr(importlib.import_module(module), factory)
    network: nn.Module = maker(in_channels=channels, classes=classes, image_size=size, **model["options"])
    return network


def own_model(name: str) -> type[nn.Module]:
    """Return the class behind `own:NAME`: that of NAME.py whose lower-case name is NAME. Needs the package dapbench."""
    if not name.isidentifier():
        raise ValueError(f"own:{name}: not the name of a model")
    module = importlib.import_module(f"{OWN}.{name}")
    found = (one for one in vars(module).values() if isinstance(one, type) and one.__name__.lower() == name)
    return next(one for one in found if issubclass(one, nn.Module))


def _torchvision(name: str, channels: int, classes: int, size: int, options: Mapping[str, Any]) -> nn.Module:
    from torchvision import models

    given: dict[str, Any] = {"num_classes": classes}
    if name.startswith("vit_"):
        given["image_size"] = size
    elif name.startswith("maxvit"):
        given["input_size"] = (size, size)
    elif name in ("googlenet", "inception_v3"):
        # Without the classifiers on the way, whose logits a training would get as well.
        given |= {"aux_logits": False, "init_weights": False}
    network: nn.Module = models.get_model(name, weights=None, **{**given, **options})
    if channels != 3:
        # The constructors know three colours only.
        place, old = next((key, part) for key, part in network.named_modules() if isinstance(part, nn.Conv2d))
        shape = (old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation, old.groups)
        parent, _, leaf = place.rpartition(".")
        first = nn.Conv2d(channels, *shape, bias=old.bias is not None, padding_mode=old.padding_mode)  # type: ignore[arg-type]
        setattr(network.get_submodule(parent), leaf, first)
    return network


def _timm(name: str, options: dict[str, Any], size: int) -> nn.Module:
    import timm

    try:
        network: nn.Module = timm.create_model(name, **{"img_size": size, **options})
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        network = timm.create_model(name, **options)  # takes images of any size
    return network


def apply_changes(network: nn.Module, changes: Iterable[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> None:
    """Make a large model into a sub-network of it, in place.

    `changes` says which modules are replaced, which attributes are set, which numbers in a module's calls are others,
    and what is kept of buffers that the state dict leaves out; `tensors` are the sub-network's parameters and buffers
    by their names in the state dict; those of the large model that are not named there are removed with their modules.
    """
    for change in changes:
        module = network.get_submodule(change["module"])
        if "replace" in change:
            module = _REPLACEMENTS[change["replace"]](module).train(module.training)
            parent, _, leaf = change["module"].rpartition(".")
            setattr(network.get_submodule(parent), leaf, module)
        for attribute, value in change.get("set", {}).items():
            setattr(module, attribute, tuple(value) if isinstance(value, list) else value)
        for leaf, dims in change.get("keep", {}).items():
            for dim, indices in dims.items():
                whole = getattr(module, leaf)
                setattr(module, leaf, whole.index_select(int(dim), torch.tensor(indices, device=whole.device)))
        if "sizes" in change:
            _restate(module, change["sizes"])
    placed: dict[int, nn.Parameter] = {}
    for name, old in list(network.state_dict(keep_vars=True).items()):
        parent, _, leaf = name.rpartition(".")
        owner, tensor = network.get_submodule(parent), tensors[name]
        if isinstance(old, nn.Parameter):
            # A parameter that two modules share stays shared.
            tensor = placed.setdefault(id(old), nn.Parameter(tensor, old.requires_grad))
        setattr(owner, leaf, tensor)


def numbers_of(name: str, args: Any, kwargs: Mapping[str, Any]) -> dict[int, int]:
    """Return the numbers that a call of a function of `STATING` states, by their places.

    Those of an index are the starts (place 2i of its i-th entry) and the stops (2i + 1) of its slices.
    """
    return {place: number for place, number in enumerate(_listed(name, args, kwargs)) if type(number) is int}


def _listed(name: str, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    if name == "__getitem__":
        entries = _entries(args)
        return [end for one in entries for end in ((one.start, one.stop) if isinstance(one, slice) else (None, None))]
    given = next((kwargs[key] for key in _SIZES if key in kwargs), args[1:2] if name == "split" else args[1:])
    if isinstance(given, tuple | list) and len(given) == 1 and isinstance(given[0], tuple | list):
        given = given[0]
    return list(given) if isinstance(given, tuple | list) else [given]


def _entries(args: Any) -> tuple[Any, ...]:
    entries = args[1] if isinstance(args[1], tuple) else (args[1],)
    # Others choose by numbers that were computed, or count dimensions in ways of their own.
    return entries if all(one is None or one is Ellipsis or type(one) in (int, slice) for one in entries) else ()


class StatedSizes(TorchFunctionMode):
    """Lets calls state a sub-network's sizes: `sizes` gives per call and place the number there and what it becomes.

    A call is named by its function and by how many of that function came before it: "reshape 1" is the second one.
    """

    def __init__(self, sizes: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self._sizes = sizes
        self._calls: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, with the other numbers where it states those that are to be others."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in STATING:
            sizes = self._sizes.get(f"{name} {self._calls[name]}")
            self._calls[name] += 1
            if sizes:
                args, kwargs = _restated(name, args, kwargs, sizes)
        return func(*args, **kwargs)


def _restated(name: str, args: Any, kwargs: dict[str, Any], sizes: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    listed = _listed(name, args, kwargs)
    if name == "split" and len(listed) == 1:
        listed *= len(sizes)  # one size for all parts, which may come to differ
    for place, (before, after) in sizes.items():
        if int(place) < len(listed) and listed[int(place)] == before:
            listed[int(place)] = after
    if name == "__getitem__":
        ends = [slice(*pair) for pair in zip(listed[::2], listed[1::2], strict=True)]
        entries = _entries(args)
        index = (
            slice(end.start, end.stop, one.step) if isinstance(one, slice) else one
            for one, end in zip(entries, ends, strict=True)
        )
        return (args[0], tuple(index) if entries else args[1]), kwargs
    others = args[2:] if name == "split" else ()
    return (args[0], listed, *others), {key: value for key, value in kwargs.items() if key not in _SIZES}


class Restated:
    """A module whose calls state other sizes: what is mixed into its class."""

    stated: dict[str, dict[str, Any]]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module with its sizes restated."""
        if any(isinstance(one, fx.Proxy) for one in (*args, *kwargs.values())):
            raise TypeError("a module with restated sizes is run, not traced symbolically")
        with StatedSizes(self.stated):
            return super().forward(*args, **kwargs)  # type: ignore[misc]


def _restate(module: Any, sizes: Mapping[str, Mapping[str, Any]]) -> None:
    if not isinstance(module, Restated):
        kind = type(module)
        module.__class__ = type(kind.__name__, (Restated, kind), {"__module__": kind.__module__})
        module.stated = {}
    stated = {call: dict(places) for call, places in module.stated.items()}
    for call, places in sizes.items():
        known = stated.setdefault(call, {})
        for place, (before, after) in places.items():
            # The code still states what it did before the module was cut for the first time.
            known[place] = [known[place][0] if place in known else before, after]
    module.stated = stated


class Skipped(nn.Module):
    """Stands where a layer or block was left out: returns its first input, whatever else it is given.

    Where `results` is more than 1 it comes with as many values less one, all None.
    """

    def __init__(self, _replaced: nn.Module) -> None:
        super().__init__()
        self.results = 1

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Any:
        """Return `x` as it is."""
        return x if self.results == 1 else (x, *[None] * (self.results - 1))


class Nothing(Skipped):
    """Stands where a residual branch was left out: returns zeros in the shape of its first input.

    `size`, if set, is that of dimension `dim`; of maps every `stride`-th row and column is returned.
    """

    def __init__(self, replaced: nn.Module) -> None:
        super().__init__(replaced)
        self.size: int | None = None
        self.dim = self.stride = 1

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Any:
        """Return zeros like `x`."""
        x = torch.zeros_like(x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride])
        return super().forward(
            x if self.size is None else x.narrow(self.dim, 0, 1).repeat_interleave(self.size, self.dim)
        )


class KeptHeads(nn.Module):
    """`nn.MultiheadAttention` of one tensor to itself, with some of its heads: fewer than its width has room for."""

    def __init__(self, replaced: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads, self.head_dim = replaced.num_heads, replaced.head_dim
        self.batch_first, self.dropout = replaced.batch_first, replaced.dropout
        self.in_proj_weight, self.in_proj_bias = replaced.in_proj_weight, replaced.in_proj_bias
        self.out_proj = replaced.out_proj
        # Layers of the library that would compute past this module ask for this, and then do not.
        self._qkv_same_embed_dim = False

    def forward(self, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return the attention of `query` [N, L, E] (or [L, N, E] as the original has it) to itself, and no weights."""
        x = query if self.batch_first else query.transpose(0, 1)
        q, k, v = (
            part.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
            for part in F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)
        out = self.out_proj(mixed)
        return (out if self.batch_first else out.transpose(0, 1)), None


_REPLACEMENTS: dict[str, Callable[[Any], nn.Module]] = {"identity": Skipped, "zero": Nothing, "attention": KeptHeads}
