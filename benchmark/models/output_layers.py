"""Which layers a network's output comes from, found by one run on an image."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

# Sides of images to try where none is given: those of the usual data sets and networks, the quick ones first.
SIDES = (32, 28, 16, 8, 64, 96, 128, 224, 256, 299, 384)
_MATRICES = ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "bilinear", "_cdist_forward")
_LAYERS = ("linear", "convolution", "_convolution")  # the last tensor that they read may be a bias

Names = frozenset[str]


def output_layers(module: nn.Module, image: Tensor, training: bool = False) -> tuple[Any, list[str]]:
    """Return what `module` makes of a batch of images [N, C, H, W], and the modules that its output comes from.

    A module is named when a product with a weight ran in it and nothing but operators without a weight (pooling,
    activations, sums, reshaping, products of activations) lies between that product and the output. The run is in eval
    mode, or in training mode if `training`, without gradients, and leaves the module as it was. What the module raises
    is passed on.
    """
    with undisturbed(module, training), torch.no_grad():
        # A copy, for no operators are seen of a tensor of inference mode.
        image = image.to(**_place(module), copy=True)
        sources = _Sources(module, image)
        with sources.watching():
            output = module(image)
    found = {name for tensor in tree_leaves(output) if isinstance(tensor, Tensor) for name in sources.of(tensor) or ()}
    return output, [name for name, _ in module.named_modules() if name in found]


def some_image(module: nn.Module) -> Tensor | None:
    """Return a black image [1, C, H, W] that `module` takes, of one of the usual sizes; None where it takes none."""
    for shape in _shapes(module):
        image = torch.zeros(1, *shape, **_place(module))
        try:
            with undisturbed(module), torch.no_grad():
                module(image)
        except Exception:
            continue
        return image
    return None


def _place(module: nn.Module) -> dict[str, Any]:
    like = next(module.parameters(), None)
    return {} if like is None else {"device": like.device, "dtype": like.dtype}


def _shapes(module: nn.Module) -> Iterator[tuple[int, int, int]]:
    layers = list(module.modules())
    first = next((layer.in_channels for layer in layers if isinstance(layer, nn.Conv2d)), None)
    # The convolution that is defined first need not be the one that runs first.
    channels = [1, 3] if first is None else list(dict.fromkeys([first, 3, 1]))
    width = next((layer.in_features for layer in layers if isinstance(layer, nn.Linear)), 0) if first is None else 0
    sides = [isqrt(width // count) for count in channels if width and isqrt(width // count) ** 2 * count == width]
    for side in dict.fromkeys([*sides, *SIDES]):
        yield from ((count, side, side) for count in channels)


class _Sources(TorchDispatchMode):
    """Notes, for every tensor that depends on the image, the modules whose products it comes from."""

    def __init__(self, module: nn.Module, image: Tensor) -> None:
        super().__init__()
        self._modules = dict(module.named_modules())
        self._stack: list[str] = []
        self._held = WeakIdKeyDictionary()
        self._written: dict[int, Names] = {}  # by memory: what was written into a part of a tensor
        self._alive: list[Tensor] = []  # so that no memory of `_written` is used again
        self._held[image] = frozenset()

    @contextmanager
    def watching(self) -> Iterator[None]:
        handles = []
        for name, layer in self._modules.items():
            handles.append(layer.register_forward_pre_hook(lambda *_, name=name: self._stack.append(name)))
            handles.append(layer.register_forward_hook(self._leave, always_call=True))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def of(self, tensor: Tensor) -> Names | None:
        """The modules a tensor comes from; None where it does not depend on the image."""
        held: Names | None = self._held.get(tensor)
        written = self._written.get(tensor.untyped_storage().data_ptr()) if tensor.layout == torch.strided else None
        return held if written is None else (held or frozenset()) | written

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        names = [self.of(one) for one in tensors]
        live = [one for one in names if one is not None]
        if not live:
            return out
        found = frozenset().union(*live)
        operator = func._schema.name.removeprefix("aten::")
        if operator in (*_MATRICES, *_LAYERS):
            factors = names[:2] if operator in _LAYERS else names[-2:]
            if None in factors:  # a weight, or what is computed from weights alone
                found = frozenset(self._stack[-1:])
        for result in tree_leaves(out):
            if isinstance(result, Tensor):
                self._held[result] = found
                if func._schema.is_mutable:
                    memory = result.untyped_storage().data_ptr()
                    self._written[memory] = found | self._written.get(memory, frozenset())
                    self._alive.append(result)
        return out

    def _leave(self, module: nn.Module, _inputs: Any, result: Any) -> None:
        name = self._stack.pop()
        if isinstance(module, nn.Linear | nn.Conv2d) and isinstance(result, Tensor) and self.of(result) is not None:
            self._held[result] = frozenset([name])


@contextmanager
def undisturbed(module: nn.Module, training: bool = False) -> Iterator[nn.Module]:
    """Let `module` run in eval mode, or in training mode if `training`.

    Its mode, its running statistics and the random numbers of the CPU are afterwards as they were.
    """
    modes = {layer: layer.training for layer in module.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()] if training else []
    try:
        with torch.random.fork_rng(devices=[]):
            yield module.train(training)
    finally:
        for layer, mode in modes.items():
            layer.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
