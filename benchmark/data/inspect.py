"""What of a data set the checks before a run need to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmark.data.base import Places, Progress, silent
from benchmark.data.inputs import say_skipped
from benchmark.data.prepare import open_stored, stream
from benchmark.data.registry import is_own
from benchmark.data.transforms import convert, select

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.config.params import DatasetRef


@dataclass(frozen=True, eq=False)
class Inspection:
    """Labels int64 [N], the classes' names, the shape [C, H, W] of an image, and `groups` as in `ImageData`.

    `groups` is None where the pixels were not read.
    """

    labels: Tensor
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    groups: Tensor | None


def inspect(
    ref: DatasetRef,
    mirrors: Sequence[str] = (),
    downloads: Path = Places.downloads,
    progress: Progress = silent,
) -> Inspection:
    """Open a set and look at it; nothing is kept.

    Of a user's own set every image is read, so that one `BenchError` names all that cannot be; what is skipped is
    written to stderr. Of a published set, whose files have checksums, only the first image is read.
    """
    stored = open_stored(ref, mirrors, downloads, progress)
    if not is_own(ref.name):
        rows, labels, names = select(stored, ref)
        first = convert(next(stored.read(rows[:1])), ref)
        return Inspection(torch.from_numpy(labels), names, first.shape, None)
    shape: tuple[int, ...] = ()

    def look(start: int, block: NDArray[np.uint8], count: int) -> None:  # noqa: ARG001
        nonlocal shape
        shape = block.shape[1:]

    content = stream(ref, stored, look, progress)
    if stored.inputs is not None:
        say_skipped(ref.name, stored.inputs)
    return Inspection(torch.from_numpy(content.labels), content.classes, shape, torch.from_numpy(content.groups))
