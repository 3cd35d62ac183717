"""What a data set is to the rest of the suite, and what one file of `benchmark/data/sets` or a package has to offer."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.config.params import DatasetRef

Progress = Callable[[str, float], None]

# An address holds colons of its own, so the separator alone cannot tell the entries apart.
_MIRROR = re.compile(rf"https?://[^/{os.pathsep}]+(?::\d+)?[^{os.pathsep}]*|[^{os.pathsep}]+")


def silent(message: str, share: float) -> None:
    """Ignore a report of progress."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """A labelled image set, ready for use.

    `images` uint8 [N, C, H, W] with C 1 (grey) or 3 (RGB); `labels` int64 [N] in 0..len(classes)-1; `digest` is the
    SHA-256 of shape, pixels and labels; `source` says where the pixels came from. `groups` int64 [N] holds, for each
    image, the index of the first image with the same pixels (None: no two are equal).
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    digest: str
    licence: str
    citation: str
    source: str
    groups: Tensor | None = None


@dataclass(frozen=True)
class Places:
    """Where a data set's files may be: `mirrors` (folders or addresses) first, then its official place.

    What is downloaded is kept in `downloads`. `progress` receives a message and the share done.
    """

    mirrors: tuple[str, ...] = ()
    downloads: Path = Path("data/downloads")
    progress: Progress = field(default=silent)


@dataclass(frozen=True)
class Skipped:
    """Files of one suffix (lower case) that are not read for one reason; `first` is the path of one of them."""

    suffix: str
    reason: str
    count: int
    first: str


@dataclass(frozen=True)
class Inputs:
    """What of a user's own files is read: their number per suffix, those skipped, and what was chosen in them."""

    taken: dict[str, int]
    skipped: tuple[Skipped, ...] = ()
    chosen: str = ""


@dataclass(frozen=True)
class Stored:
    """A data set as it lies on disk, its pixels not read yet.

    `labels` int64 [N] count up from 0 in the order of `classes`; `read(rows)` yields the images at these ascending
    rows one after the other, each uint8 [H, W] (grey) or [H, W, 3] (RGB); where it is not opaque, alpha comes last
    ([H, W, 2] or [H, W, 4]). `inputs` counts the files of a user's own set.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    read: Callable[[NDArray[np.int64]], Iterator[NDArray[np.uint8]]]
    licence: str
    citation: str
    source: str
    inputs: Inputs | None = None


class Dataset(ABC):
    """A kind of data set, found by the registry: in a file of `benchmark/data/sets`, or as an entry point of a package.

    `name` is what stands before the first colon of a reference's name, `option` what stands behind it ("" if nothing).
    These files are imported to check a name, so they import nothing slow.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def forms(cls) -> tuple[str, ...]:
        """Return the names a reference can have, with placeholders in capitals (`imagefolder:PATH`)."""

    @classmethod
    @abstractmethod
    def check(cls, option: str, where: str) -> int | None:
        """Return the number of classes, None if only reading tells; raise `BenchError` for an option that cannot be."""

    @classmethod
    def stamp(cls, option: str) -> str:  # noqa: ARG003
        """Return a text that changes whenever the files of a user's own set do; "" for a set that cannot change."""
        return ""

    @classmethod
    @abstractmethod
    def open(cls, option: str, places: Places) -> Stored:
        """Find the files, download them if needed, and return the set; `BenchError` if that is not possible."""


def mirror_list(mirrors: Sequence[str]) -> tuple[str, ...]:
    """Return the mirrors to look in: those given, then those of the environment variable DAPBENCH_MIRRORS."""
    return (*mirrors, *_MIRROR.findall(os.environ.get("DAPBENCH_MIRRORS", "")))


def reference(ref: DatasetRef) -> dict[str, Any]:
    """Return what of a reference decides the content: its non-default options, without a target's label."""
    from benchmark.config.params import DatasetRef

    values = ref.model_dump(include=set(DatasetRef.model_fields), exclude_none=True)
    return {key: values[key] for key in DatasetRef.model_fields if key in values}


def original_labels(ref: DatasetRef) -> list[list[int]] | None:
    """Return for each class of a reference the original labels that make it up; None for all classes as they are."""
    if ref.classes is None:
        return None
    return [item if isinstance(item, list) else [item] for item in ref.classes]
