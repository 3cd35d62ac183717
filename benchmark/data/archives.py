"""Unpacks zip and tar archives; every member is checked before anything is written."""

import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from benchmark.errors import BenchError


@dataclass(frozen=True)
class _Member:
    """A file of an archive (`open` None: a folder or a link, which is left out)."""

    name: str
    open: Callable[[], IO[bytes] | None] | None


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> Path:
    """Unpack the regular files whose member names are `wanted` into `folder`, and return it; links are left out.

    The folder appears at once, complete; one that is there already is taken as it is. `BenchError`, before anything is
    written, for a member whose path or link leaves the folder, and for an archive that cannot be read.
    """
    if folder.is_dir():
        return folder
    try:
        with _members(archive) as members:
            for member in members:
                if _climbs(member.name):
                    raise _climbing(archive, member.name)
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            try:
                _write((member for member in members if wanted(member.name)), temporary)
                temporary.chmod(0o755)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise BenchError(
            f"{archive}: cannot be unpacked to {folder} ({error}); free some space, or fetch the archive again"
        ) from error
    return folder


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            yield [
                _Member(info.filename, None if info.is_dir() else partial(bundle.open, info))
                for info in bundle.infolist()
            ]
    else:
        with tarfile.open(archive) as ball:
            yield [_tar_member(archive, ball, info) for info in ball]


def _tar_member(archive: Path, ball: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    try:
        # What Python itself refuses to unpack from an archive of data: paths and links that leave the folder, devices.
        tarfile.data_filter(info, str(archive.parent))
    except tarfile.FilterError as error:
        raise _climbing(archive, info.name) from error
    return _Member(info.name, partial(ball.extractfile, info) if info.isreg() else None)


def _climbing(archive: Path, name: str) -> BenchError:
    return BenchError(
        f"{archive}: member {name!r} climbs out of the archive's folder; nothing was unpacked, "
        "get the archive from its official place"
    )


def _climbs(name: str) -> bool:
    path = name.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return True
    depth = 0
    for part in PurePosixPath(path).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _write(members: Iterator[_Member], folder: Path) -> None:
    for member in members:
        source = member.open() if member.open is not None else None
        if source is not None:
            target = folder / member.name.replace("\\", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
