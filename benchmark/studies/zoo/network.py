"""A network of the zoo, made ready to be checked: at a small input, with weights that hide nothing, without chance."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from benchmark import models
from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models.loader import build_large_model

CLASSES = 10
CHANNELS = 3
IMAGES = 5  # with fewer, batch norm of single positions is badly conditioned; and few dimensions of a network are 5
# Below 64 pixels most networks end on a single position, where attention and windows have nothing to do.
SIZES = (64, 96, 112, 128, 160, 192, 224, 240, 256, 288, 299, 331, 384, 448, 512)
QUIET = 0.05  # of the usual size, for weights to be drawn anew
# Where the search may begin, for networks that are slow to build, whose input is fixed, or too small at first.
FIRST = {
    "timm:crossvit_tiny_240": 240,
    "timm:deepseek_vit_412m": 112,
    "timm:eca_botnext26ts_256": 256,
    "timm:efficientformer_l1": 224,
    "timm:gemma4_vit_167m": 96,
    # At 64 pixels its last stage is a single position: in training mode, batch norm of two images is ill-conditioned.
    "timm:shvit_s1": 128,
}


def prepared(name: str) -> tuple[nn.Module, int]:
    """Return the network in eval mode and the side of the smallest square input that it takes.

    `BenchError` when it takes none.
    """
    fault: Exception | None = None
    for size in (size for size in SIZES if size >= FIRST.get(name, 0)):
        try:
            torch.manual_seed(0)
            model = build_large_model(models.describe(ModelRef(name=name), CHANNELS, CLASSES, size))
            without_chance(model)
            _try(model, size)
        except Exception as error:  # whatever a network says about an input it does not take
            fault = error
            continue
        randomise(model, images(size))
        return model.eval(), size
    raise BenchError(f"takes no square input of {SIZES[0]} to {SIZES[-1]} pixels: {told(fault)}") from fault


def images(size: int, count: int = IMAGES) -> Tensor:
    """Return the same random images [count, C, size, size] at every call."""
    return torch.randn(count, CHANNELS, size, size, generator=torch.Generator().manual_seed(1))


def outputs(result: object) -> list[Tensor]:
    """Return every floating-point tensor of whatever a network returns."""
    if isinstance(result, Tensor):
        return [result] if result.is_floating_point() else []
    parts: Iterable[object] = ()
    if isinstance(result, Mapping):
        parts = result.values()
    elif isinstance(result, list | tuple):
        parts = result
    return [tensor for part in parts for tensor in outputs(part)]


def without_chance(model: nn.Module) -> None:
    """Set every probability of leaving something out (dropout, stochastic depth) to 0."""
    for module in model.modules():
        drops = isinstance(module, nn.modules.dropout._DropoutNd) or type(module).__name__ == "StochasticDepth"
        for key, value in list(vars(module).items()):
            if isinstance(value, float) and ((drops and key == "p") or "drop" in key):
                setattr(module, key, 0.0)


@torch.no_grad()
def randomise(model: nn.Module, x: Tensor) -> None:
    """Replace whatever an initialiser set to a constant or to almost nothing, the same at every call.

    Norms and layer scales begin at 1, 0 or 1e-6, biases and tokens at 0, some last layers at a thousandth of the usual
    size: there, two networks that differ may agree. Then the network is settled on the images `x`.
    """
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or parameter.numel() == 0:
            continue
        if parameter.numel() > max(parameter.shape, default=1):
            usual = (parameter.shape[0] / parameter.numel()) ** 0.5
            if parameter.square().mean().sqrt() < QUIET * usual:
                parameter.normal_(0, usual, generator=generator)
        elif parameter.max() - parameter.min() < QUIET:
            if "bias" in name.rpartition(".")[2]:
                parameter.normal_(0, 0.1, generator=generator)
            else:
                parameter.uniform_(0.2, 0.8, generator=generator)
    _settle(model.eval(), x, generator)


def _settle(model: nn.Module, x: Tensor, generator: torch.Generator) -> None:
    """Set the running statistics to those of the images, slightly disturbed, one norm after the other as they run.

    So each norm sees what the disturbed ones before it leave: activations that grow from layer to layer would grow the
    rounding, too.
    """
    settled = set()

    def settle(norm: nn.modules.batchnorm._BatchNorm, args: tuple[Tensor, ...]) -> None:
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None or norm in settled:
            return
        settled.add(norm)
        found, average = torch.var_mean(args[0].transpose(0, 1).flatten(1), 1, correction=0)
        found.clamp_(min=max(QUIET * float(found.mean()), norm.eps))
        mean.copy_(average + 0.1 * found.sqrt() * torch.randn(found.shape, generator=generator))
        variance.copy_(found * (0.8 + 0.45 * torch.rand(found.shape, generator=generator)))

    hooks = [
        module.register_forward_pre_hook(settle)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    model(x)
    for hook in hooks:
        hook.remove()


def told(error: Exception | None) -> str:
    """Return an exception in one short line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(filter(None, [f"{type(error).__name__}:", lines[0] if lines else ""]))[:300]


def _try(model: nn.Module, size: int) -> None:
    """Run the network in both modes; it raises where the input is too small for it."""
    with torch.no_grad():
        model.train()(images(size))
        found = outputs(model.eval()(images(size)))
    if not found or not all(tensor.numel() for tensor in found):
        raise BenchError("it returns no numbers")
