"""A finished job's parts as they lie on disk, and whether they are what was written."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from benchmark.errors import BenchError
from benchmark.files import file_sha256, read_json
from benchmark.jobs.damage import DamagedJob


class Entry(BaseModel):
    """What is recorded of a file: bytes, and their SHA-256 (hex)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    size: int = Field(ge=0)
    sha256: str


class Record(BaseModel):
    """job.json; `schema` is checked before, `checksum` by the store."""

    model_config = ConfigDict(frozen=True, strict=True)

    key: str
    kind: str
    spec: dict[str, Any]
    values: dict[str, Any]
    files: dict[str, Entry]
    checksum: str


class _Timing(BaseModel):
    """timing.json: Unix seconds, seconds, and what a kind of job adds."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, FiniteFloat]

    started: FiniteFloat = Field(ge=0)
    seconds: FiniteFloat = Field(ge=0)


_RECORD, _TIMING = TypeAdapter(Record), TypeAdapter(_Timing)


def read_record(content: Any, folder: Path, key: str) -> Record:
    """Return the content of job.json as a record; `DamagedJob` when it is none, or names files outside its folder."""
    try:
        record = _RECORD.validate_python(content)
    except ValidationError as error:
        raise DamagedJob(folder, key, "job.json is not the record of a job") from error
    for name in record.files:
        if name != Path(name).name:
            raise DamagedJob(folder, key, f"job.json names a file {name!r} outside the job")
    return record


def read_timing(folder: Path, key: str) -> dict[str, float]:
    """Return the content of timing.json; `DamagedJob` when it holds no times."""
    try:
        return _TIMING.validate_python(read_json(folder / "timing.json")).model_dump()
    except (BenchError, ValidationError) as error:
        raise DamagedJob(folder, key, "timing.json is not readable") from error


class JobFiles(Mapping[str, Path]):
    """The files of a finished job by name: a path is given out once the file's content is that which was written.

    Each is read once per process, as long as its size, time and number stay. `DamagedJob` for another content.
    """

    def __init__(self, folder: Path, key: str, entries: Mapping[str, Entry]) -> None:
        self._folder, self._key, self._entries = folder, key, entries

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of the files as they were when the job was published."""
        return {name: entry.sha256 for name, entry in self._entries.items()}

    def check_sizes(self) -> None:
        """Raise `DamagedJob` unless every file is there with as many bytes as were written."""
        for name, entry in self._entries.items():
            try:
                size = (self._folder / name).stat().st_size
            except OSError as error:
                raise self._damaged(f"{name} is missing") from error
            if size != entry.size:
                raise self._damaged(f"{name} has {size} bytes instead of {entry.size}")

    def __getitem__(self, name: str) -> Path:
        entry, path = self._entries[name], self._folder / name
        try:
            status = path.stat()
            found = _content(path.resolve(), (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
        except OSError as error:
            raise self._damaged(f"{name} cannot be read ({error.strerror})") from error
        if found != entry.sha256:
            raise self._damaged(f"{name} does not have the content that was written")
        return path

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _damaged(self, fault: str) -> DamagedJob:
        return DamagedJob(self._folder, self._key, fault)


@cache
def _content(path: Path, state: tuple[int, ...]) -> str:  # noqa: ARG001
    """Return the SHA-256 of a file; `state` only ages the cache."""
    return file_sha256(path)
