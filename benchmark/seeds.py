"""Randomness: every draw comes from an explicit generator whose seed is derived from names."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """Return the sub-seed of `seed` for the purpose that `names` spell, in [0, 2**63).

    Equal arguments give equal sub-seeds on every machine; `1` and `"1"` are different names.
    """
    content = json.dumps([seed, *names], separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: str = "cpu") -> torch.Generator:
    """Return a fresh generator on `device`, seeded with `derive(seed, *names)`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *names))
