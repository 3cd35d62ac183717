"""Gumbel noise: the largest of noisy logits is a draw from their softmax."""

import torch
from torch import Tensor

SMALLEST = 1e-300


def gumbel(count: int, generator: torch.Generator) -> Tensor:
    """Return `count` draws of the standard Gumbel distribution, in double."""
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    # A draw of exactly 0 would be infinite.
    return -(-uniform.clamp(min=SMALLEST).log()).log()


def without_replacement(logits: Tensor, count: int, generator: torch.Generator) -> list[int]:
    """Return `count` different places, drawn from softmax(`logits`) one after the other, or all where there are fewer.

    The largest sums with Gumbel noise are such a sample, also where shares are too small for a float.
    """
    noisy = logits.detach().double() + gumbel(len(logits), generator)
    places: list[int] = noisy.topk(min(count, len(logits))).indices.tolist()
    return places
