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
# What systems leave in folders: macOS in zip archives, for each file another one of its name that is no image; network
# disks small pictures of the images, in folders of their names; trash.
_LEFTOVERS = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
)


@dataclass(frozen=True)
class Files:
    """The image files of a folder, sorted by path, and every other file with the reason why it is not read."""

    images: list[Path]
    skipped: list[tuple[Path, str]]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name does not count."""
    return name.startswith(".") or name in _LEFTOVERS


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder`, sorted by name.

    Links to folders count, but not those to `folder` or to one around it; hidden folders do not.
    """
    around = _around(folder)
    found = (path for path, inner in _entries(folder) if inner and not is_hidden(path.name))
    return sorted(path for path in found if os.path.realpath(path) not in around)


def image_files(folder: Path) -> Files:
    """Return what lies anywhere below `folder`; links are followed, what is in a hidden folder is hidden."""
    images, skipped = [], []
    # Those around the link that a class folder may be, and those around what it leads to.
    around = _around(folder.parent) | _around(Path(os.path.realpath(folder)).parent)
    for path, reason in _walk(folder, around, hidden=False):
        if reason is None:
            images.append(path)
        else:
            skipped.append((path, reason))
    return Files(sorted(images), sorted(skipped))


def loose_files(folder: Path) -> list[tuple[Path, str]]:
    """Return what lies in `folder` itself and in its hidden folders, beside the class folders."""
    found, around = [], _around(folder)
    for path, inner in _entries(folder):
        if inner and os.path.realpath(path) in around:
            found.append((path, CIRCLE))
        elif is_hidden(path.name) and inner:
            found += [(file, HIDDEN) for file, _ in _walk(path, around, hidden=True)]
        elif not inner:
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
    """Return a hash of the files' paths, sizes and times: it differs when one was changed, added or removed.

    Also when two were exchanged whose sizes and times of change are the same, as out of an archive.
    """
    states = [(path, path.stat()) for path in files]
    return sha256(canonical_json([(str(path), one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in states]))


def _around(folder: Path) -> frozenset[str]:
    """The real paths of a folder and of all around it."""
    real = Path(os.path.realpath(folder))
    return frozenset(map(str, [real, *real.parents]))


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What lies in a folder, sorted by name, and whether it is a folder."""
    try:
        return [(path, path.is_dir()) for path in sorted(folder.iterdir())]
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot be looked into ({error.strerror}); make it readable, or name a folder of images only"
        ) from error


def _walk(folder: Path, around: frozenset[str], *, hidden: bool) -> Iterator[tuple[Path, str | None]]:
    """Yield each file below a folder, and why it is not read; `around` are the real paths of the folders around it."""
    real = os.path.realpath(folder)
    if real in around:
        yield folder, CIRCLE
        return
    for path, inner in _entries(folder):
        unseen = hidden or is_hidden(path.name)
        if inner:
            yield from _walk(path, around | {real}, hidden=unseen)
        else:
            yield path, HIDDEN if unseen else _reason(path)


def _reason(path: Path) -> str | None:
    if is_hidden(path.name):
        return HIDDEN
    if not path.is_file():
        return BROKEN if path.is_symlink() else "not a regular file"
    return None if path.suffix.lower() in SUFFIXES else FORMAT
