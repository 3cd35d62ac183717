"""`imagefolder:PATH`: a user's own images, one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.image_files import reader
from benchmark.data.image_folders import count, image_files, loose_files, stamp, subfolders
from benchmark.errors import BenchError
from benchmark.files import canonical_json, sha256

_TRAINING = frozenset({"train", "training"})
_OTHERS = frozenset({"val", "valid", "validation", "dev", "test", "testing"})


class ImageFolder(Dataset):
    """Images in PATH/CLASS/..., at any depth below the class; classes count in the order of the folders' names.

    The formats are those of `benchmark.data.image_folders.SUFFIXES`, in any size and mode: `size` and `channels` make
    them alike. docs/inputs.md says what happens to other files.
    A relative PATH counts from the folder where the command runs.
    """

    name: ClassVar[str] = "imagefolder"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return the one form."""
        return (f"{cls.name}:PATH",)

    @classmethod
    def check(cls, option: str, where: str) -> int:
        """Return the number of class folders; refuse fewer than two, and folders named train and test."""
        try:
            folder = Path(option).expanduser()
            there = bool(option) and folder.is_dir()
        except (OSError, RuntimeError, ValueError):  # a name too long, of no user's home, or with what no path has
            there = False
        if not there:
            raise BenchError(
                f"{where}: {option or 'PATH'!r} is not a folder; expected imagefolder:PATH with a folder per class"
            )
        if folder.resolve() == Path(folder.resolve().anchor):
            raise BenchError(f"{where}: {option} is the whole file system; name a folder of images only")
        names = [path.name for path in subfolders(folder)]
        if len(names) < 2:
            raise BenchError(
                f"{where}: {option} holds {len(names)} class folders; expected PATH/CLASS/IMAGE with two or more"
            )
        low = {name.lower() for name in names}
        # A class may be of trains; beside one of tests, whatever else there is, it is none.
        if low <= _TRAINING | _OTHERS or (low & _TRAINING and low & _OTHERS):
            raise BenchError(
                f"{where}: {option} holds the parts {', '.join(names)}, not classes; name one part, e.g. "
                f"imagefolder:{folder / names[-1]}, the suite makes its own splits"
            )
        return len(names)

    @classmethod
    def stamp(cls, option: str) -> str:
        """Follow every image file's name, size and time, and the names of classes and of what is skipped."""
        folder = Path(option).expanduser()
        found = image_files(folder)
        names = [str(path) for path in (*subfolders(folder), *(path for path, _ in found.skipped))]
        return stamp(found.images) + sha256(canonical_json(names))

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """List the files; they are read one by one later."""
        top = Path(option).expanduser()
        folders = subfolders(top)
        found = [image_files(folder) for folder in folders]
        paths = [path for files in found for path in files.images]
        skipped = [item for files in found for item in files.skipped]
        return Stored(
            labels=np.repeat(np.arange(len(found)), [len(files.images) for files in found]).astype(np.int64),
            classes=tuple(path.name for path in folders),
            read=reader(paths),
            licence="none stated",
            citation="none stated",
            source=f"{cls.name}:{option}",
            inputs=count(paths, [*skipped, *loose_files(top)]),
        )
