"""The arrays of a prepared data set: mapped from disk, and compared with the manifest's hash before they are used."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.manifest import AGAIN, Manifest
from benchmark.data.transforms import BLOCK, ContentHash
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAYS = ("images.npy", "labels.npy", "groups.npy")
_State = tuple[tuple[int, int, int], ...]


def map_arrays(folder: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """Return the arrays by file name, mapped read-only; `BenchError` unless type and shape are the manifest's."""
    shapes = {"images.npy": (manifest["count"], *manifest["shape"])}
    return {name: _map(folder / name, shapes.get(name, (manifest["count"],))) for name in ARRAYS}


def verify(folder: Path, manifest: Manifest) -> None:
    """Raise `BenchError` unless pixels and labels have the manifest's digest and the groups are those of the pixels.

    Every byte is read, once per process as long as the files' size, time and number stay.
    """
    states = [(folder / name).stat() for name in ARRAYS]
    state = tuple((status.st_size, status.st_mtime_ns, status.st_ino) for status in states)
    digest, groups = _content(folder.resolve(), state, manifest["count"], tuple(manifest["shape"]))
    if digest != manifest["digest"]:
        raise BenchError(
            f"{folder}: images.npy or labels.npy is damaged (SHA-256 {digest[:12]}, {manifest['digest'][:12]} "
            f"expected); {AGAIN}"
        )
    if not groups:
        raise BenchError(f"{folder / 'groups.npy'}: damaged, it does not say which images are equal; {AGAIN}")


@cache
def _content(folder: Path, state: _State, count: int, shape: tuple[int, ...]) -> tuple[str, bool]:  # noqa: ARG001
    """Return the digest of pixels and labels, and whether the groups are right; `state` only ages the cache."""
    arrays = map_arrays(folder, {"count": count, "shape": shape})
    content = ContentHash(count)
    for start in range(0, count, BLOCK):
        content.add(arrays["images.npy"][start : start + BLOCK])
    return content.digest(arrays["labels.npy"]), bool(np.array_equal(content.groups(), arrays["groups.npy"]))


def _map(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    dtype = np.dtype(np.uint8 if len(shape) > 1 else "<i8")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: not a .npy array of numbers ({error}); {AGAIN}") from error
    if array.shape != shape or array.dtype != dtype:
        raise BenchError(f"{path}: {array.dtype} {list(array.shape)}, expected {dtype} {list(shape)}; {AGAIN}")
    return array
