"""The manifest: what a prepared data set is, as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.data.splits import SourceSplit, TargetSplit

SCHEMA = 1
AGAIN = "remove its folder and run `dvc repro` or `dapbench run`"
Manifest = dict[str, Any]
_KEYS = {
    "schema": int,
    "name": str,
    "ref": dict,
    "count": int,
    "shape": list,
    "dtype": str,
    "classes": list,
    "per_class": list,
    "duplicates": int,
    "digest": str,
    "licence": str,
    "citation": str,
    "source": str,
    "files": dict,
}


def check_manifest(value: Any, where: str) -> Manifest:
    """Return `value` if it is a manifest of this schema; `BenchError` that begins with `where` otherwise."""
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int):
        raise BenchError(f"{where}: not the manifest of a data set; {AGAIN}")
    if value["schema"] != SCHEMA:
        raise BenchError(f"{where}: manifest of schema {value['schema']}, this version reads {SCHEMA}; {AGAIN}")
    for key, kind in _KEYS.items():
        if not isinstance(value.get(key), kind):
            raise BenchError(f"{where}: manifest without a valid {key!r}; {AGAIN}")
    return value


def with_splits(manifest: Manifest, splits: Mapping[int, SourceSplit | TargetSplit]) -> Manifest:
    """Return the manifest with the sizes of its parts and, for each seed, a SHA-256 of the indices of every part."""
    sizes: dict[str, int] = {}
    digests: dict[str, dict[str, str]] = {}
    for seed, split in splits.items():
        parts = {field.name: getattr(split, field.name) for field in fields(split)}
        sizes = {name: len(index) for name, index in parts.items()}
        digests[str(seed)] = {
            name: hashlib.sha256(index.numpy().astype("<i8").tobytes()).hexdigest() for name, index in parts.items()
        }
    return {**manifest, "split": {"sizes": sizes, "digests": digests}}
