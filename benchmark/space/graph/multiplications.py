"""What one operator multiplies: the factors of a matrix product, and how many multiply-accumulates it takes."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

Arguments = Mapping[str, Any]
# The arguments of matrix products [.., n, k] x [.., k, m] that are their factors.
_FACTORS = {
    "mm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "mv": ("self", "vec"),
    "addmv": ("mat", "vec"),
    "dot": ("self", "tensor"),
    "addbmm": ("batch1", "batch2"),
    "_addmm_activation": ("mat1", "mat2"),
    "_int_mm": ("self", "mat2"),
    "_scaled_mm": ("self", "mat2"),
}


def multiplications(name: str, named: Arguments, out: Any) -> int:
    """Return the multiply-accumulates of one operator, 0 for those that are no product.

    `name` is without its namespace `aten`, `named` are the arguments by name, `out` is the result. A term of a sum of
    products counts once, however many factors it has: what scales a factor (a mask of a deformable convolution, one
    input of a bilinear layer) is an elementwise product, which is free.
    """
    rule = _RULES.get(name)
    return 0 if rule is None else rule(named, out)


def counted(name: str, named: Arguments) -> bool:
    """Return whether the multiply-accumulates of an operator are known."""
    return name in _RULES and (name != "_cdist_forward" or named["p"] == 2)


def factors(name: str, named: Arguments) -> tuple[Tensor, Tensor]:
    """Return the two factors of a matrix product."""
    left, right = _FACTORS[name]
    return named[left], named[right]


def _matrices(name: str) -> Callable[[Arguments, Tensor], int]:
    def rule(named: Arguments, _out: Tensor) -> int:
        left, right = factors(name, named)
        return left.numel() * (right.shape[-1] if right.dim() > 1 else 1)

    return rule


def _convolution(named: Arguments, out: Tensor) -> int:
    moved = named["input"] if named["transposed"] else out
    return int(moved.numel() * named["weight"][0].numel())


def _deformable(named: Arguments, out: Tensor) -> int:
    return int(out.numel() * named["weight"][0].numel())


def _over_time(named: Arguments, out: Tensor) -> int:
    return int(out.numel() * named["weight"][..., 0].numel())


def _outer(_named: Arguments, out: Tensor) -> int:
    return out.numel()


def _trilinear(named: Arguments, _out: Tensor) -> int:
    shapes = []
    for number in ("1", "2", "3"):
        factor = named[f"i{number}"]
        for dim in named[f"expand{number}"]:
            factor = factor.unsqueeze(dim)
        shapes.append(factor.shape)
    return prod(torch.broadcast_shapes(*shapes))


def _distances(named: Arguments, out: Tensor) -> int:
    return int(out.numel() * named["x1"].shape[-1]) if named["p"] == 2 else 0


_RULES: dict[str, Callable[[Arguments, Any], int]] = {
    **{name: _matrices(name) for name in _FACTORS},
    "convolution": _convolution,
    "torchvision::deform_conv2d": _deformable,
    "conv_tbc": _over_time,
    "addr": _outer,
    "_trilinear": _trilinear,
    "_cdist_forward": _distances,
}
