"""An architecture: which units of a large model are kept, without any weights."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch

from benchmark.errors import BenchError
from benchmark.files import atomic_write
from benchmark.space.safetensors_file import decode, encode


@dataclass(frozen=True)
class Architecture:
    """The kept units of every group of a search space.

    `granularity` is that of the search space (`build_space` lists them). `masks` maps group names, in the search
    space's order, to bool tensors [units of the group] on the CPU; at weight granularity a group is a weight tensor,
    flattened. `meta` is JSON: the large model's description, the search space's digest, method, budget, complexity,
    params, macs and whatever the maker adds.
    """

    granularity: str
    masks: dict[str, torch.Tensor]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> dict[str, int]:
        """Return the number of kept units per group."""
        return {name: int(mask.sum()) for name, mask in self.masks.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of units per group."""
        return {name: mask.numel() for name, mask in self.masks.items()}

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of granularity and masks; `meta` does not enter."""
        digest = hashlib.sha256(self.granularity.encode())
        for name, mask in self.masks.items():
            digest.update(f"\n{name} {mask.numel()}\n".encode())
            digest.update(mask.to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def content(self) -> bytes:
        """Return what `save` writes: a safetensors file; equal architectures give equal bytes."""
        description = {
            "granularity": self.granularity,
            "groups": list(self.masks),
            "digest": self.digest,
            "meta": self.meta,
        }
        return encode("architecture", description, self.masks)

    def save(self, path: Path) -> None:
        """Write the architecture atomically; `BenchError` when the file cannot be written."""
        atomic_write(path, self.content())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an architecture file.

        Raises `BenchError` in one line for a file that is missing, truncated, a pickle, not safetensors,
        not an architecture, of a newer schema, or whose masks were changed.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise BenchError(f"{path}: no such file; expected an architecture file (.safetensors)") from error
        except OSError as error:
            raise BenchError(f"{path}: cannot be read ({error.strerror}); expected an architecture file") from error
        description, masks = decode("architecture", content, str(path))
        try:
            ordered = {name: masks[name] for name in description["groups"]}
            architecture = cls(description["granularity"], ordered, description["meta"])
            intact = (
                isinstance(architecture.meta, dict)
                and len(ordered) == len(masks)
                and all(mask.dtype == torch.bool and mask.dim() == 1 for mask in masks.values())
                and architecture.digest == description["digest"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BenchError(f"{path}: its description is damaged; make the file again") from error
        if not intact:
            raise BenchError(f"{path}: its masks do not match its digest, so the file was changed; make it again")
        return architecture
