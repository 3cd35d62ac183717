"""Images and labels given as tensors: what is wrong with them is said in one line."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.tensors import check_images, check_labels
from benchmark.errors import BenchError

IMAGES = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
LABELS = torch.tensor([0, 2, 1, 0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, "torch.float32 [4, 3, 8, 8]; expected uint8 [N, C, H, H]; convert pixels in [0, 1]"),
        (IMAGES * float("nan"), "torch.float32 [4, 3, 8, 8]; expected uint8 [N, C, H, H]"),
        (IMAGES.long(), "convert pixels from 0 to 255 with images.to(torch.uint8)"),
        (IMAGES.numpy(), "ndarray of uint8 [4, 3, 8, 8]; expected uint8 [N, C, H, H]; convert them with"),
        (IMAGES.tolist(), "images: list; expected uint8"),
        (IMAGES[:0], "torch.uint8 [0, 3, 8, 8]; expected uint8 [N, C, H, H], at least one image"),
        (IMAGES[..., :0, :0], "torch.uint8 [4, 3, 0, 0]"),
        (IMAGES[:, 0], "torch.uint8 [4, 8, 8]"),
        (IMAGES[..., :7], "torch.uint8 [4, 3, 8, 7]; expected uint8 [N, C, H, H], at least one image, square"),
    ],
)
def test_images_of_another_kind_are_refused(images: Any, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        check_images(images)


def test_images_of_another_shape_than_the_source_s_are_refused() -> None:
    check_images(IMAGES, (3, 8, 8))
    with pytest.raises(
        BenchError, match=re.escape("expected uint8 [N, 1, 8, 8], like the source's; convert or resize")
    ):
        check_images(IMAGES, (1, 8, 8))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.int(), "torch.int32 [4]; expected int64 [4], the class of every image, from 0; convert them with"),
        (LABELS.bool(), "torch.bool [4]"),
        (LABELS.float(), "torch.float32 [4]; expected int64 [4], the class of every image, from 0; if they are whole"),
        (LABELS.tolist(), "labels: list; expected int64 [4]"),
        (LABELS.numpy().astype(np.int32), "ndarray of int32 [4]; expected int64 [4]"),
        (LABELS[:3], "torch.int64 [3]; expected int64 [4], the class of every image, from 0; give one label per image"),
        (LABELS[:, None], "take labels.flatten()"),
        (torch.nn.functional.one_hot(LABELS), "torch.int64 [4, 3]; expected int64 [4]"),
        (LABELS - 1, "from -1 to 1"),
        (LABELS * 10**12, "from 0 to 2000000000000"),
    ],
)
def test_labels_of_another_kind_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        check_labels(labels, 4)


@given(st.integers(1, 20), st.integers(1, 20))
def test_labels_must_be_below_the_number_of_logits(classes: int, outputs: int) -> None:
    labels = torch.arange(classes)
    if classes <= outputs:
        check_labels(labels, classes, outputs)
    else:
        with pytest.raises(BenchError, match=f"up to {classes - 1}, but the model gives {outputs} logits"):
            check_labels(labels, classes, outputs)
