"""How a check runs a network, so that one network and another with fewer units meet the same: mode, images, draws."""

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark import seeds
from benchmark.space.surgery.mask_and_cut import run

# In training: batch norm of a single position is badly conditioned with fewer, and few widths of a network are 5.
IMAGES = 5
HIGH, LOW, MIDDLE = 1.0, 0.0, 0.5
# With which Python's first random number, and NumPy's, is high, low and in the middle.
SEEDS = {HIGH: (0, 4), LOW: (1, 9), MIDDLE: (9, 0)}
NO_OTHERS: Mapping[str, Tensor] = MappingProxyType({})


class SteadyDraws(TorchDispatchMode):
    """Lets PyTorch's random operators give one number throughout: `place` of the way from the lowest to the highest.

    So networks of different widths draw the same, and what a network does or skips by chance is done at one place.
    `drawn` tells whether numbers were drawn, `unsteady` whether one ran whose numbers are still random.
    """

    def __init__(self, place: float) -> None:
        super().__init__()
        self._place = place
        self.drawn = self.unsteady = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator; of a random one overwrite what it gives."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.drawn = True
            name = func._schema.name.removeprefix("aten::")
            named = dict(zip((one.name for one in func._schema.arguments), args, strict=False)) | kwargs
            if name == "randperm":
                ordered = out.sort(descending=self._place == HIGH).values
                out.copy_(ordered.roll(len(ordered) // 2) if self._place == MIDDLE else ordered)
            elif (ends := _ends(name.rstrip("_").removesuffix("_like"), named)) is not None:
                low, high = ends
                number = low + self._place * (high - low)
                whole = name.startswith(("bernoulli", "randint"))
                out.fill_(math.floor(number + 0.5) if whole else number)
            else:
                self.unsteady = True
        return out


def _ends(name: str, named: Mapping[str, Any]) -> tuple[float, float] | None:
    """About the lowest and the highest number of a random operator with these arguments; None of an unknown one."""
    if name == "bernoulli":
        return 0, 1
    if name in ("rand", "uniform"):
        low, high = named.get("from", 0.0), named.get("to", 1.0)
        margin = 1e-3 * (high - low)  # the logarithm of an end may be taken
        return low + margin, high - margin
    if name in ("randn", "normal"):
        mean, deviation = named.get("mean", 0.0), named.get("std", 1.0)
        known = not isinstance(mean, Tensor) and not isinstance(deviation, Tensor)
        return (mean - 2 * deviation, mean + 2 * deviation) if known else None
    if name == "randint":
        return named.get("low", 0), named["high"] - 1
    return (0.1, 3.0) if name == "exponential" else None


@contextmanager
def _seeded(numbers: tuple[int, int], draws: SteadyDraws) -> Iterator[None]:
    """Seed Python's random numbers and NumPy's global ones, which networks may draw, and note whether any was drawn."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        random.seed(numbers[0])
        np.random.seed(numbers[1])  # noqa: NPY002
        seeded, expected = random.getstate(), np.random.RandomState(numbers[1]).random_sample()
        yield
        draws.drawn |= random.getstate() != seeded or np.random.random_sample() != expected  # noqa: NPY002
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002


@dataclass(frozen=True)
class Setting:
    """Images [N, C, H, W], the mode in which a network runs on them, and which random numbers it meets.

    `by_chance` says that the network still draws random numbers then: what it gives cannot be compared.
    """

    images: Tensor
    training: bool = False
    place: float = HIGH
    by_chance: bool = False

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[SteadyDraws]:
        """Let `model` run in this mode with such random numbers; those of others stay as they were."""
        draws = SteadyDraws(self.place)
        model.train(self.training)
        try:
            with _seeded(SEEDS[self.place], draws), torch.no_grad(), torch.random.fork_rng(devices=[]), draws:
                torch.random.manual_seed(0)
                yield draws
        finally:
            model.eval()

    def output(self, network: nn.Module, parameters: Mapping[str, Tensor] = NO_OTHERS) -> Tensor:
        """Return all numbers that `network` gives, with these parameters where given."""
        with self.of(network):
            return flat(keeping_buffers(network, self.images, parameters))

    def difference(self, expected: Tensor, found: Tensor) -> float:
        """Return the largest difference of two outputs as a share of the largest number; NaN for other shapes.

        In training outputs of which there is nothing to compare do not differ: all zero, or not finite.
        """
        if expected.shape != found.shape:
            return float("nan")
        largest = expected.abs().max()
        if self.by_chance or (self.training and not (largest.isfinite() and largest > 0)):
            return 0.0
        return float((expected - found).abs().max() / largest)

    def __str__(self) -> str:
        return " in training mode" if self.training else ""


def images_like(example: Tensor) -> Tensor:
    """Return random images [`IMAGES`, ...] in double precision, in the shape of those of `example`: always the same."""
    draw = seeds.generator(0, "admission")
    return torch.randn((IMAGES, *example.shape[1:]), generator=draw, dtype=torch.float64)


def training_settings(model: nn.Module, images: Tensor) -> list[Setting]:
    """Return the settings in which `model` trains on `images`: none where it does not, three where it draws numbers."""
    found = []
    for place in (HIGH, LOW, MIDDLE):
        setting = Setting(images, training=True, place=place)
        try:
            with setting.of(model) as draws:
                output = flat(keeping_buffers(model, images))
        except Exception:  # whatever a network says that does not take several images, or does not train
            continue
        if bool(output.isfinite().all()):
            found.append(Setting(images, training=True, place=place, by_chance=draws.unsteady))
        if not draws.drawn:
            break
    return found


def keeping_buffers(model: nn.Module, images: Tensor, parameters: Mapping[str, Tensor] = NO_OTHERS) -> Any:
    """Return what `model` computes, with these parameters where given; its running statistics stay as they were.

    So do the images, which a network may change in place.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return run(model, {**buffers, **parameters}, images.clone())


def flat(output: Any) -> Tensor:
    """Return all numbers that a network returns."""
    return torch.cat([tensor.flatten() for tensor in tree_leaves(output) if isinstance(tensor, Tensor)])
