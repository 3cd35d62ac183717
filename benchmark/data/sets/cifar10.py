"""CIFAR-10's training images, from Parquet files in a mirror or from the official archive."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.data.base import Places, Stored
from benchmark.data.catalogue import CATALOGUE
from benchmark.data.download import fetch
from benchmark.data.fixed import PlainDataset
from benchmark.data.sets.parquet import Parquet
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.data.formats import Part, Read

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNT = 50_000
# SHA-256 of the training images, uint8 [N, 32, 32, 3], in the official order.
PIXELS = "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a"
_PARQUET = "cifar10/train-*.parquet"


class Cifar10(PlainDataset):
    """50,000 RGB photographs of 32 x 32 pixels, ten classes of 5,000, in the official order.

    The Hugging Face copy (`cifar10/train-*.parquet`) is taken from a mirror folder that has it, the official binary
    archive (`CIFAR10/`) otherwise. The pixels of both are the same, and are checked whenever all have been read.
    """

    name: ClassVar[str] = "cifar10"
    count: ClassVar[int] = len(CLASSES)

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """Find one of the copies and read its labels."""
        entry = CATALOGUE["CIFAR10"]
        folders = [Path(mirror).expanduser() for mirror in places.mirrors]
        folder = next((path for path in folders if any(path.glob(_PARQUET))), None)
        if folder is not None:
            stored = Parquet.open(f"{glob.escape(str(folder))}/{_PARQUET}", places)
            part: Part = (stored.labels, stored.read)
            classes, where, source = stored.classes, str(folder / _PARQUET), "Parquet files of the Hugging Face Hub"
        else:
            (file,) = entry.files
            archive = fetch(cls.name, file, places)
            (labels, read), names = entry.read([archive], places.downloads / "CIFAR10" / "unpacked")
            # The test part follows the training part.
            part = (labels[:COUNT], read)
            classes, where, source = tuple(names), str(archive), f"official archive, MD5 {file.md5}"
        if len(part[0]) != COUNT or classes != CLASSES:
            raise BenchError(
                f"{cls.name}: {where} holds {len(part[0])} images of the classes {', '.join(classes)}; expected the "
                f"{COUNT} training images of {', '.join(CLASSES)}; restore the files or take them out of the mirror"
            )
        return Stored(
            labels=part[0],
            classes=CLASSES,
            read=_checked(part[1], where),
            licence=entry.licence,
            citation=entry.citation,
            source=f"{source}, pixels SHA-256 {PIXELS}",
        )


def _checked(read: Read, where: str) -> Read:
    """Yield the images that are asked for, reading all, so that the checksum can be told at the end."""

    def checked(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        wanted = np.zeros(COUNT, dtype=bool)
        wanted[rows] = True
        digest = hashlib.sha256()
        for row, image in enumerate(read(np.arange(COUNT))):
            digest.update(np.ascontiguousarray(image).data)
            if wanted[row]:
                yield image
        if digest.hexdigest() != PIXELS:
            raise BenchError(
                f"cifar10: the images of {where} have SHA-256 {digest.hexdigest()[:12]}, {PIXELS[:12]} expected; "
                "restore the files or take them out of the mirror"
            )

    return checked
