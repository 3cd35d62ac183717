"""Safetensors files with one JSON description in their header: the same content, the same bytes."""

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from benchmark.errors import BenchError
from benchmark.files import canonical_json

SCHEMA = 1


def encode(kind: str, description: dict[str, Any], tensors: dict[str, torch.Tensor]) -> bytes:
    """Return the file's content. `kind` tells files of this suite apart ("architecture", "weights")."""
    # One key only: safetensors writes several metadata keys in an order that changes from run to run.
    header = canonical_json({**description, "schema": SCHEMA}).decode()
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {f"dapbench-{kind}": header})


def decode(kind: str, content: bytes, where: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return description and tensors of what `encode` made.

    Raises `BenchError`, beginning with `where` (the file), for a pickle, a file that is not safetensors,
    a truncated one, one without this suite's description, and one with a newer schema.
    """
    header = _header(content, where)
    metadata = header.get("__metadata__")
    described = metadata.get(f"dapbench-{kind}") if isinstance(metadata, dict) else None
    if described is None:
        raise BenchError(
            f"{where}: a safetensors file, but not one with a dapbench {kind}; name a file that dapbench wrote"
        )
    try:
        description = json.loads(described)
        schema = description["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{where}: its description is damaged; make the file again") from error
    if schema != SCHEMA:
        raise BenchError(f"{where}: schema {schema!r}, this version reads {SCHEMA}; update dapbench")
    try:
        return description, load(content)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BenchError(
            f"{where}: truncated or damaged ({len(content)} bytes); copy or make the file again"
        ) from error


def _header(content: bytes, where: str) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{":
        if content[:1] == b"\x80" or content[:4] == b"PK\x03\x04":
            raise BenchError(f"{where}: looks like a pickle; never loaded; expected a safetensors file")
        raise BenchError(f"{where}: not a safetensors file; name a file that dapbench wrote")
    if len(content) < 8 + length:
        raise BenchError(f"{where}: truncated ({len(content)} bytes); copy or make the file again")
    try:
        header = json.loads(content[8 : 8 + length])
    except ValueError as error:
        raise BenchError(f"{where}: not a safetensors file; name a file that dapbench wrote") from error
    return header
