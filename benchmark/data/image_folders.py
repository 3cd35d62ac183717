"""Folders of image files: which files are read, and what is skipped for which reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.base import Inputs, Skipped
from benchmark.errors import BenchError
from benchmark.files import canonical_json, sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
        *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
HIDDEN = "hidden, or left by a file manager"
FORMAT = "not a format that is read"
BROKEN = "a link that leads nowhere"
CIRCLE = "a link to a folder around it"
LOOSE = "an image outside the class folders"
# What macOS writes into zip archives: for each file another one of its name that is no image.
_LEFTOVERS = frozenset({"__MACOSX"})


@dataclass(frozen=True)
class Files:
    """The image files of a folder, sorted by path, and every other file with the reason why it is not read."""

    images: list[Path]
    skipped: list[tuple[Path, str]]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name does not count."""
    return name.startswith(".") or name in _LEFTOVERS


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder`, sorted by name; hidden ones do not count, links to folders do."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def image_files(folder: Path) -> Files:
    """Return what lies anywhere below `folder`; links are followed, what is in a hidden folder is hidden."""
    images, skipped = [], []
    for path, reason in _walk(folder, (), hidden=False):
        if reason is None:
            images.append(path)
        else:
            skipped.append((path, reason))
    return Files(sorted(images), sorted(skipped))


def loose_files(folder: Path) -> list[tuple[Path, str]]:
    """Return what lies in `folder` itself and in its hidden folders, beside the class folders."""
    found = []
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name) and path.is_dir():
            found += [(file, HIDDEN) for file, _ in _walk(path, (), hidden=True)]
        elif not path.is_dir():
            reason = _reason(path)
            found.append((path, LOOSE if reason is None else reason))
    return found


def labelled(folders: Sequence[Path]) -> tuple[list[Path], NDArray[np.int64]]:
    """Return the image files of all class folders and their labels, class 0 first."""
    files = [image_files(folder).images for folder in folders]
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files]).astype(np.int64)
    return [path for paths in files for path in paths], labels


def count(taken: Sequence[Path], skipped: Sequence[tuple[Path, str]]) -> Inputs:
    """Count files per suffix, those skipped per reason too, with the first of each."""
    numbers: dict[str, int] = {}
    for path in taken:
        numbers[path.suffix.lower()] = numbers.get(path.suffix.lower(), 0) + 1
    groups: dict[tuple[str, str], list[Path]] = {}
    for path, reason in skipped:
        groups.setdefault((reason, path.suffix.lower()), []).append(path)
    return Inputs(
        taken=dict(sorted(numbers.items())),
        skipped=tuple(
            Skipped(suffix, reason, len(paths), str(paths[0])) for (reason, suffix), paths in sorted(groups.items())
        ),
    )


def stamp(files: Sequence[Path]) -> str:
    """Return a hash of the files' paths, sizes and times: it differs when one was changed, added or removed."""
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return sha256(canonical_json(states))


def _walk(folder: Path, around: tuple[str, ...], *, hidden: bool) -> Iterator[tuple[Path, str | None]]:
    """Yield each file below a folder, and why it is not read; `around` are the real paths of the folders around it."""
    real = os.path.realpath(folder)
    if real in around:
        yield folder, CIRCLE
        return
    try:
        entries = [(path, path.is_dir()) for path in sorted(folder.iterdir())]
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot be looked into ({error.strerror}); make it readable, or name a folder of images only"
        ) from error
    for path, inner in entries:
        unseen = hidden or is_hidden(path.name)
        if inner:
            yield from _walk(path, (*around, real), hidden=unseen)
        else:
            yield path, HIDDEN if unseen else _reason(path)


def _reason(path: Path) -> str | None:
    if is_hidden(path.name):
        return HIDDEN
    if not path.is_file():
        return BROKEN if path.is_symlink() else "not a regular file"
    return None if path.suffix.lower() in SUFFIXES else FORMAT
