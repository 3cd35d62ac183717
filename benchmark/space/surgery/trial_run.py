"""How a check runs a network, so that one network and another with fewer units meet the same: mode, images, draws."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark import seeds
from benchmark.space.surgery.mask_and_cut import run

# In training: batch norm of a single position is badly conditioned with fewer, and few widths of a network are 5.
IMAGES = 5
SEEDS = {True: 0, False: 1}  # with which Python's first random number is high (0.84), and low (0.13)
NO_OTHERS: Mapping[str, Tensor] = MappingProxyType({})


class SteadyDraws(TorchDispatchMode):
    """Lets PyTorch's random operators give one number throughout, about the highest they can give, or the lowest.

    So networks of different widths draw the same, and what a network does or skips by chance is done in one of the two.
    `drawn` tells whether numbers were drawn, `unsteady` whether one ran whose numbers are still random.
    """

    def __init__(self, high: bool) -> None:
        super().__init__()
        self._high = high
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
                out.copy_(out.sort(descending=self._high).values)
            elif (ends := _ends(name.rstrip("_").removesuffix("_like"), named)) is not None:
                out.fill_(ends[self._high])
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


@dataclass(frozen=True)
class Setting:
    """Images [N, C, H, W], the mode in which a network runs on them, and whether random numbers are high or low.

    `by_chance` says that the network still draws random numbers then: what it gives cannot be compared.
    """

    images: Tensor
    training: bool = False
    high: bool = True
    by_chance: bool = False

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[SteadyDraws]:
        """Let `model` run in this mode with such random numbers; those of others stay as they were."""
        before = random.getstate()
        draws = SteadyDraws(self.high)
        model.train(self.training)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]), draws:
                torch.random.manual_seed(0)
                random.seed(SEEDS[self.high])
                seeded = random.getstate()
                yield draws
                draws.drawn |= random.getstate() != seeded
        finally:
            random.setstate(before)
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
    """Return the settings in which `model` trains on `images`: none where it does not, two where it draws numbers."""
    found = []
    for high in (True, False):
        setting = Setting(images, training=True, high=high)
        try:
            with setting.of(model) as draws:
                output = flat(keeping_buffers(model, images))
        except Exception:  # whatever a network says that does not take several images, or does not train
            continue
        if bool(output.isfinite().all()):
            found.append(Setting(images, training=True, high=high, by_chance=draws.unsteady))
        if not draws.drawn:
            break
    return found


def keeping_buffers(model: nn.Module, images: Tensor, parameters: Mapping[str, Tensor] = NO_OTHERS) -> Any:
    """Return what `model` computes, with these parameters where given; its running statistics stay as they were."""
    return run(model, {**{name: buffer.clone() for name, buffer in model.named_buffers()}, **parameters}, images)


def flat(output: Any) -> Tensor:
    """Return all numbers that a network returns."""
    return torch.cat([tensor.flatten() for tensor in tree_leaves(output) if isinstance(tensor, Tensor)])
