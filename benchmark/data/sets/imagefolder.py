"""`imagefolder:PATH`: a user's own images, one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.image_files import image_files, labelled, reader, stamp, subfolders
from benchmark.errors import BenchError

_PARTS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})


class ImageFolder(Dataset):
    """Images in PATH/CLASS/..., at any depth below the class; classes count in the order of the folders' names.

    PNG, JPEG, BMP, GIF, WebP, TIFF, PGM and PPM files, in any size and mode: `size` and `channels` make them alike.
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
        folder = Path(option).expanduser()
        if not option or not folder.is_dir():
            raise BenchError(
                f"{where}: {option or 'PATH'!r} is not a folder; expected imagefolder:PATH with a folder per class"
            )
        names = [path.name for path in subfolders(folder)]
        if len(names) < 2:
            raise BenchError(
                f"{where}: {option} holds {len(names)} class folders; expected PATH/CLASS/IMAGE with two or more"
            )
        if all(name.lower() in _PARTS for name in names):
            raise BenchError(
                f"{where}: {option} holds the parts {', '.join(names)}, not classes; name one part, e.g. "
                f"imagefolder:{folder / names[-1]}, the suite makes its own splits"
            )
        return len(names)

    @classmethod
    def stamp(cls, option: str) -> str:
        """Follow every image file's name, size and time."""
        return stamp(image_files(Path(option).expanduser()))

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """List the files; they are read one by one later."""
        folders = subfolders(Path(option).expanduser())
        paths, labels = labelled(folders)
        return Stored(
            labels=labels,
            classes=tuple(path.name for path in folders),
            read=reader(paths),
            licence="none stated",
            citation="none stated",
            source=f"{cls.name}:{option}",
        )
