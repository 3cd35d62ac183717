"""Labelled images given as tensors from Python: what they must be."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import BenchError

CLASSES = 1_000_000  # at most, for labels that are numbers of something else


def check_images(images: Any, shape: Sequence[int] | None = None) -> None:
    """Raise `BenchError` unless `images` are uint8 [N, C, H, H] with N > 0; [C, H, H] is `shape`, if that is given."""
    wanted = f"[N, {', '.join(map(str, shape or ('C', 'H', 'H')))}]"
    expected = f"expected uint8 {wanted}" + (", like the source's" if shape else "")
    found = _described(images)
    if not isinstance(images, Tensor):
        raise BenchError(f"images: {found}; {expected}; convert them with torch.as_tensor")
    if images.dtype != torch.uint8:
        pixels = "pixels in [0, 1] with (images * 255).round().to(torch.uint8)"
        remedy = pixels if images.is_floating_point() else "pixels from 0 to 255 with images.to(torch.uint8)"
        raise BenchError(f"images: {found}; {expected}; convert {remedy}")
    if images.ndim != 4 or not images.numel() or images.shape[2] != images.shape[3]:
        raise BenchError(f"images: {found}; {expected}, at least one image, square; crop, pad or resize them")
    if shape is not None and tuple(images.shape[1:]) != tuple(shape):
        raise BenchError(f"images: {found}; {expected}; convert or resize them")


def check_labels(labels: Any, images: int, outputs: int | None = None) -> None:
    """Raise `BenchError` unless `labels` are int64 [images], the class of every image from 0, and below `outputs`."""
    expected = f"expected int64 [{images}], the class of every image, from 0"
    found = _described(labels)
    if not isinstance(labels, Tensor):
        raise BenchError(f"labels: {found}; {expected}; convert them with torch.as_tensor")
    if labels.ndim == 2 and len(labels) == images:
        remedy = "labels.flatten()" if labels.shape[1] == 1 else "labels.argmax(1) of one-hot rows or probabilities"
        raise BenchError(f"labels: {found}; {expected}; take {remedy}")
    if labels.shape != (images,):
        raise BenchError(f"labels: {found}; {expected}; give one label per image")
    if labels.dtype != torch.int64:
        remedy = "if they are whole numbers, convert them" if labels.is_floating_point() else "convert them"
        raise BenchError(f"labels: {found}; {expected}; {remedy} with labels.long()")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= CLASSES:
        raise BenchError(
            f"labels: from {lowest} to {highest}; {expected}; number the classes anew, "
            "with labels.unique(return_inverse=True)[1]"
        )
    if outputs is not None and highest >= outputs:
        raise BenchError(
            f"labels: up to {highest}, but the model gives {outputs} logits; expected labels below {outputs}; "
            "give a model with one output per class, or leave classes out"
        )


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of {dtype} {list(shape)}"
