"""From images as they are stored to one uint8 array: class subsets, grey and RGB, size; and the content's hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.base import Stored, original_labels
from benchmark.errors import BenchError
from benchmark.files import canonical_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.config.params import DatasetRef

BLOCK = 512
# ITU-R BT.601 luma (0.299, 0.587, 0.114) in 16-bit fixed point: the same integers on every machine.
LUMA = (19595, 38470, 7471)


def select(stored: Stored, ref: DatasetRef) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Return rows (ascending), labels and class names of the part a reference asks for.

    The classes listed in `ref.classes` become 0, 1, ... in the order of the list; one that merges several is named
    after all of them, joined by "+".
    """
    merged = original_labels(ref)
    if merged is None:
        return np.arange(len(stored.labels)), stored.labels, stored.classes
    new = np.full(len(stored.classes), -1, dtype=np.int64)
    for value, group in enumerate(merged):
        for label in group:
            if not 0 <= label < len(stored.classes):
                raise BenchError(
                    f"{ref.name}: classes: {label} is not a class; its classes count from 0 to "
                    f"{len(stored.classes) - 1}"
                )
            new[label] = value
    labels = new[stored.labels]
    rows = np.flatnonzero(labels >= 0)
    return rows, labels[rows], tuple("+".join(stored.classes[label] for label in group) for group in merged)


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the BT.601 luma of an RGB image [H, W, 3], rounded: (0.299 R + 0.587 G + 0.114 B)."""
    wide = image.astype(np.uint32)
    return ((wide @ np.array(LUMA, dtype=np.uint32) + 0x8000) >> 16).astype(np.uint8)


def flatten(image: NDArray[np.uint8], background: int) -> NDArray[np.uint8]:
    """Return an image without its alpha, [H, W, 2] or [H, W, 4], over grey: round((c a + b (255 - a)) / 255)."""
    colour, alpha = image[..., :-1].astype(np.uint32), image[..., -1:].astype(np.uint32)
    mixed = ((colour * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)
    return mixed[..., 0] if mixed.shape[-1] == 1 else mixed


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return an image [H, W] or [H, W, 3] at size x size pixels: antialiased bilinear, stretched if it was not square.

    Pillow's filter, because its fixed-point arithmetic gives the same pixels on every machine.
    """
    from PIL import Image

    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def convert(image: NDArray[np.uint8], ref: DatasetRef) -> NDArray[np.uint8]:
    """Return one stored image as [C, H, W] in the channels and the size of `ref`.

    What is transparent shows `ref.background` (white unless it says black); grey to RGB repeats the channel.
    """
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = flatten(image, 0 if ref.background == "black" else 255)
    if ref.channels == "grey" and image.ndim == 3:
        image = to_grey(image)
    if ref.size is not None:
        image = resize(image, ref.size)
    if ref.channels == "rgb" and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def blocks(images: Iterable[NDArray[np.uint8]], ref: DatasetRef) -> Iterator[NDArray[np.uint8]]:
    """Yield the converted images as arrays [B, C, H, W] of at most `BLOCK` images, all of one shape.

    `BenchError` when they are not of one shape and `ref` does not make them so.
    """
    shape: tuple[int, ...] | None = None
    block: list[NDArray[np.uint8]] = []
    for image in images:
        pixels = convert(image, ref)
        if shape is None:
            shape = pixels.shape
        if pixels.shape != shape:
            option = "channels: rgb or grey" if pixels.shape[0] != shape[0] else "size"
            raise BenchError(
                f"{ref.name}: images of {_dimensions(shape)} and of {_dimensions(pixels.shape)}; "
                f"give the data set `{option}` to make them alike"
            )
        block.append(pixels)
        if len(block) == BLOCK:
            yield np.stack(block)
            block.clear()
    if block:
        yield np.stack(block)


def _dimensions(shape: tuple[int, ...]) -> str:
    return f"{'grey' if shape[0] == 1 else 'RGB'} {shape[1]}x{shape[2]}"


class ContentHash:
    """Collects, block by block, the digest of a set and the hash of each image."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._digest = hashlib.sha256()
        self._images: list[bytes] = []

    def add(self, block: NDArray[np.uint8]) -> None:
        """Take in the next images [B, C, H, W]."""
        if not self._images:
            self._digest.update(canonical_json([self._count, *block.shape[1:]]))
        self._digest.update(np.ascontiguousarray(block).data)
        self._images.extend(image_hashes(block))

    def digest(self, labels: NDArray[np.int64]) -> str:
        """Return the SHA-256 of shape, pixels and labels."""
        whole = self._digest.copy()
        whole.update(labels.astype("<i8").tobytes())
        return whole.hexdigest()

    def groups(self) -> NDArray[np.int64]:
        """Return for each image the index of the first one with the same pixels."""
        return first_equal(self._images)


def image_hashes(images: NDArray[np.uint8]) -> list[bytes]:
    """Return a 128-bit hash of the pixels of each image [N, ...]."""
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]


def first_equal(hashes: list[bytes]) -> NDArray[np.int64]:
    """Return for each hash the index of the first equal one."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(value, index) for index, value in enumerate(hashes)], dtype=np.int64)
