"""The weights of a sub-network as a compact file: only what the architecture keeps."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.errors import BenchError
from benchmark.space.base import SearchSpace
from benchmark.space.safetensors_file import decode, encode


def pack_state(space: SearchSpace, mask: Tensor, state: Mapping[str, Tensor]) -> bytes:
    """Return a safetensors file with the part of `state` that `mask` [n] bool keeps.

    `state` is a full-size state dict of the large model (parameters and buffers). Channel: the file's
    tensors are the extracted network's state dict. Weight: the kept entries of each weight tensor in one
    dimension, all other tensors whole. Equal arguments give equal bytes. Raises `BenchError` when
    `state` is not one of the space's model.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if shapes != space.shapes:
        wrong = next(name for name in [*space.shapes, *shapes] if shapes.get(name) != space.shapes.get(name))
        raise BenchError(f"weights: {wrong} is not as in the search space's model; give that model's full state dict")
    kept = space.shrink({name: tensor.detach().cpu() for name, tensor in state.items()}, mask.cpu())
    return encode("weights", {"space": space.digest, "mask": _digest(mask)}, kept)


def unpack_state(space: SearchSpace, mask: Tensor, content: bytes, where: str = "weights file") -> dict[str, Tensor]:
    """Return the full-size state dict of what `pack_state` wrote, zero where nothing was kept.

    With these weights in the large model, `space.extract` gives the sub-network exactly. Raises
    `BenchError`, beginning with `where`, for a file that is damaged, foreign, or of another model or mask.
    """
    description, kept = decode("weights", content, where)
    if description.get("space") != space.digest:
        raise BenchError(f"{where}: weights of another large model; use the model they were trained in")
    if description.get("mask") != _digest(mask):
        raise BenchError(f"{where}: weights of another architecture; use the architecture file beside them")
    names = space.tensors(mask)
    if set(kept) != set(names):
        raise BenchError(f"{where}: tensors are missing or unknown; make the file again")
    return space.restore({name: kept[name] for name in names}, mask.cpu())


def _digest(mask: Tensor) -> str:
    return hashlib.sha256(mask.cpu().to(torch.uint8).numpy().tobytes()).hexdigest()
