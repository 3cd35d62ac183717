"""Readers of the raw formats in which well-known data sets are published. None of them unpickles.

Each returns labels (int64 [N]) and a function that yields the images at ascending rows, as in `Stored`. The files'
checksums have been verified before, so the formats are taken as given.
"""

from __future__ import annotations

import bz2
import gzip
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Read = Callable[[NDArray[np.int64]], Iterator[NDArray[np.uint8]]]
    Part = tuple[NDArray[np.int64], Read]

T = TypeVar("T")


def chain(
    parts: Sequence[tuple[NDArray[np.int64], Callable[[NDArray[np.int64]], Iterator[T]]]],
) -> tuple[NDArray[np.int64], Callable[[NDArray[np.int64]], Iterator[T]]]:
    """Return several parts as one, in this order."""

    def read(rows: NDArray[np.int64]) -> Iterator[T]:
        start = 0
        for labels, read_part in parts:
            own = rows[(rows >= start) & (rows < start + len(labels))] - start
            if len(own):
                yield from read_part(own)
            start += len(labels)

    return np.concatenate([labels for labels, _ in parts]), read


def of_array(images: Callable[[], NDArray[np.uint8]]) -> Read:
    """Return the reader of an array of images [N, H, W] or [N, H, W, 3] that is made when it is needed."""

    def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        array = images()
        for row in rows:
            yield array[row]

    return read


def idx(images: Path, labels: Path) -> Part:
    """Read gzipped IDX files of images and labels (the MNIST format), the images as a stream."""
    with gzip.open(labels) as file:
        file.read(8)
        values = np.frombuffer(file.read(), dtype=np.uint8).astype(np.int64)

    def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        with gzip.open(images) as file:
            _, _, height, width = struct.unpack(">4I", file.read(16))
            for row in rows.tolist():
                file.seek(16 + row * height * width)
                yield np.frombuffer(file.read(height * width), dtype=np.uint8).reshape(height, width)

    return values, read


def cifar(path: Path, label_bytes: int, label: int) -> Part:
    """Read a file of CIFAR's binary version, mapped: `label_bytes` bytes of labels, then 3 x 32 x 32 pixels, per image.

    `label` says which of the label bytes counts.
    """
    records = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, label_bytes + 3072)
    pixels = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return records[:, label].astype(np.int64), of_array(lambda: pixels)


def stl10(images: Path, labels: Path) -> Part:
    """Read a pair of STL-10's binary files, the images mapped; they are stored column by column."""
    pixels = np.memmap(images, dtype=np.uint8, mode="r").reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    return np.fromfile(labels, dtype=np.uint8).astype(np.int64) - 1, of_array(lambda: pixels)


def svhn(path: Path) -> Part:
    """Read a MATLAB file of SVHN's cropped digits; the label 10 stands for the digit 0."""
    from scipy.io import loadmat

    labels = loadmat(path, variable_names=["y"])["y"].ravel().astype(np.int64) % 10
    return labels, of_array(lambda: loadmat(path, variable_names=["X"])["X"].transpose(3, 0, 1, 2))


def usps(path: Path) -> Part:
    """Read a bzip2 file of USPS in LIBSVM's format: values in [-1, 1] become (v + 1) / 2 * 255, truncated."""
    with bz2.open(path, "rt") as file:
        rows = [line.split() for line in file]
    values = np.array([[pair.partition(":")[2] for pair in row[1:]] for row in rows], dtype=np.float32)
    pixels = ((values + 1) / 2 * 255).astype(np.uint8).reshape(-1, 16, 16)
    return np.array([int(row[0]) - 1 for row in rows], dtype=np.int64), of_array(lambda: pixels)
