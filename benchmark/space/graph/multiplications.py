"""What one operator multiplies: the factors of a matrix product, and how many multiply-accumulates it takes."""

from typing import Any

from torch import Tensor

from benchmark.space.graph.operators import PRODUCTS


def multiplications(name: str, named: dict[str, Any], out: Tensor) -> int:
    """Return the multiply-accumulates of one operator, 0 for those that are no product."""
    if name == "convolution":
        moved = named["input"] if named["transposed"] else out
        return int(moved.numel() * named["weight"][0].numel())
    if name not in PRODUCTS:
        return 0
    left, right = factors(name, named)
    return int(left.numel() * (right.shape[-1] if right.dim() > 1 else 1))


def factors(name: str, named: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the two factors of a matrix product."""
    keys = {
        "mm": ("self", "mat2"),
        "addmm": ("mat1", "mat2"),
        "bmm": ("self", "mat2"),
        "baddbmm": ("batch1", "batch2"),
        "mv": ("self", "vec"),
        "addmv": ("mat", "vec"),
        "dot": ("self", "tensor"),
    }[name]
    return named[keys[0]], named[keys[1]]
