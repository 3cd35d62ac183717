"""Image files: which there are, and their pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError
from benchmark.files import canonical_json, sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_GREY = frozenset({"1", "L", "LA"})


def decode(image: Path | bytes, where: str) -> NDArray[np.uint8]:
    """Return the pixels of an encoded image: uint8 [H, W] if it is grey, [H, W, 3] RGB otherwise.

    Turned upright as its EXIF orientation says; transparency is dropped; 16-bit grey keeps its upper 8 bits; of an
    animation the first frame counts. `BenchError` that begins with `where` if it cannot be read.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # Pillow warns about transparency in a palette, which is dropped on purpose, and about large images.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
                upright = ImageOps.exif_transpose(opened)
                if upright.mode.startswith("I;16"):
                    return (np.asarray(upright) >> 8).astype(np.uint8)
                if upright.mode in {"I", "F"}:
                    raise ValueError(f"its pixels are of mode {upright.mode!r}, not of 8 or 16 bits")
                return np.asarray(upright.convert("L" if upright.mode in _GREY else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BenchError(f"{where}: not a readable image ({error}); repair it or take it out") from error


def reader(paths: Sequence[Path]) -> Callable[[NDArray[np.int64]], Iterator[NDArray[np.uint8]]]:
    """Return the function that yields the pixels of the files at given positions, one after the other."""

    def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        for row in rows.tolist():
            yield decode(paths[row], str(paths[row]))

    return read


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder`, sorted by name; hidden ones do not count."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def image_files(folder: Path) -> list[Path]:
    """Return the image files anywhere below `folder`, sorted by path; hidden ones do not count."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def labelled(folders: Sequence[Path]) -> tuple[list[Path], NDArray[np.int64]]:
    """Return the image files of all class folders and their labels, class 0 first."""
    files = [image_files(folder) for folder in folders]
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files]).astype(np.int64)
    return [path for paths in files for path in paths], labels


def stamp(files: Sequence[Path]) -> str:
    """Return a hash of the files' paths, sizes and times: it differs when one was changed, added or removed."""
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return sha256(canonical_json(states))
