"""The two-temperature relaxation of the units' choice."""

import torch
from torch import Tensor


def gates(logits: Tensor, low: float) -> Tensor:
    """Return the forward gates sigma(logits / low); at low = 0 the hard step, so that what runs is the architecture."""
    if low == 0:
        return (logits > 0).to(logits.dtype)
    return torch.sigmoid(logits / low)


def slope(logits: Tensor, high: float) -> Tensor:
    """Return the backward derivative of the gates, that of sigma(logits / high): it reaches units that are off."""
    share = torch.sigmoid(logits / high)
    return share * (1 - share) / high


def undecided(logits: Tensor, high: float) -> float:
    """Return the share of units whose backward gate sigma(logits / high) lies in (0.05, 0.95)."""
    share = torch.sigmoid(logits / high)
    return float(((share > 0.05) & (share < 0.95)).float().mean())
