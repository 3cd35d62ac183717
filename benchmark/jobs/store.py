"""The content-addressed store of finished jobs."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.files import canonical_json, read_json, sha256
from benchmark.jobs.damage import DamagedJob
from benchmark.jobs.job import Job, JobOutput, JobResult, Spec
from benchmark.jobs.options import options
from benchmark.jobs.stored import JobFiles, Record, read_record, read_timing

SCHEMA = 1


@dataclass(frozen=True)
class Context:
    """What a computation finds around it: none of it changes the result on the same kind of device.

    `data_root` holds the prepared data sets; `progress` takes a short message and the share done, in [0, 1].
    """

    store: "Store"
    data_root: Path
    device: str = "cpu"
    progress: Callable[[str, float], None] = lambda _message, _share: None


class Store:
    """Finished jobs under `root`/ab/KEY/: `job.json`, `timing.json` and the job's files.

    A job appears whole or not at all: it is written in a temporary folder, synced, and renamed. Several
    processes may share a store; of two that publish the same key the first wins.
    """

    def __init__(self, root: Path | str = ".jobs") -> None:
        self.root = Path(root)

    def folder(self, key: str) -> Path:
        """Return the folder of a job, whether or not it exists."""
        return self.root / key[:2] / key

    def has(self, key: str) -> bool:
        """Return whether the job was finished (without checking that it is intact)."""
        return self.folder(key).is_dir()

    def get(self, key: str) -> JobResult:
        """Read a finished job; `KeyError` when there is none.

        Raises `DamagedJob` when the job is not intact: `job.json` against its own checksum, each file against its size,
        and, once it is asked for, against its content (see `JobFiles`). `verify` reads all files at once.
        """
        folder = self.folder(key)
        if not folder.is_dir():
            raise KeyError(key)
        record = self._record(key)
        files = JobFiles(folder, key, record.files)
        files.check_sizes()
        return JobResult(record.values, files, files.digests, read_timing(folder, key), folder)

    def verify(self, key: str) -> JobResult:
        """Like `get`, and compare the content of every file with its recorded hash."""
        result = self.get(key)
        for name in result.files:
            result.files[name]
        return result

    def set_aside(self, key: str) -> Path | None:
        """Move a damaged job out of the way, to `root`/damaged, and return where it is now; it is then not finished.

        None when it is intact or gone: another process has done it, and computed it again. Raises `BenchError` when the
        store cannot be written.
        """
        try:
            self.verify(key)
        except KeyError:
            return None
        except DamagedJob:
            with self._disk_errors():
                (self.root / "damaged").mkdir(exist_ok=True)
                place = Path(tempfile.mkdtemp(prefix=f"{key[:12]}-", dir=self.root / "damaged"))
                with suppress(FileNotFoundError):
                    self.folder(key).rename(place)
                    return place
                place.rmdir()
        return None

    def put(self, job: Job[Spec], output: JobOutput, timing: Mapping[str, float]) -> None:
        """Publish a finished job atomically; one that is already there stays as it is.

        Raises `BenchError` on a full or read-only disk; nothing of the job is then visible.
        """
        key = job.key
        files = {name: {"size": len(data), "sha256": sha256(data)} for name, data in output.files.items()}
        for name in files:
            if name != Path(name).name or name in ("job.json", "timing.json"):
                raise ValueError(f"{name!r} is not a plain file name of a job")
        body = {"schema": SCHEMA, "key": key, "kind": job.kind, "spec": options(job.spec)}
        body |= {"values": output.values.model_dump(mode="json"), "files": files}
        record = {**body, "checksum": sha256(canonical_json(body))}
        with self._disk_errors(), self._temporary() as (temporary, lock):
            for name, data in output.files.items():
                _write(temporary / name, data)
            _write(temporary / "timing.json", canonical_json(dict(timing)) + b"\n")
            # In its own order: the layers of an architecture stand in the network's order, not the alphabet's.
            _write(temporary / "job.json", json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n")
            os.fsync(lock)
            self._publish(temporary, key)

    def receive(self, key: str, files: Mapping[str, bytes]) -> None:
        """Publish the files of a job that was finished in another store, like `put`.

        Raises `BenchError` when they are not intact.
        """
        with self._disk_errors(), self._temporary() as (temporary, _):
            copy = Store(temporary)
            copy.folder(key).mkdir(parents=True)
            for name, data in files.items():
                _write(copy.folder(key) / name, data)
            copy.verify(key)
            self._publish(copy.folder(key), key)

    def _publish(self, folder: Path, key: str) -> None:
        target = self.folder(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise

    def sweep(self) -> None:
        """Remove what killed runs left half-written, and check that the store can be written."""
        with self._disk_errors():
            with self._temporary():
                pass
            for leftover in (self.root / "tmp").iterdir():
                handle = _lock(leftover)
                if handle is not None:
                    shutil.rmtree(leftover, ignore_errors=True)
                    os.close(handle)

    def _record(self, key: str) -> Record:
        folder = self.folder(key)
        try:
            content = read_json(folder / "job.json")
        except BenchError as error:
            raise DamagedJob(folder, key, "job.json is missing or not JSON") from error
        if isinstance(content, dict) and content.get("schema", SCHEMA) != SCHEMA:
            raise DamagedJob(folder, key, f"job.json has schema {content['schema']!r}, this version reads {SCHEMA}")
        record = read_record(content, folder, key)
        body = {name: value for name, value in content.items() if name != "checksum"}
        if record.checksum != sha256(canonical_json(body)) or record.key != key:
            raise DamagedJob(folder, key, "job.json does not have the content that was written")
        return record

    @contextmanager
    def _temporary(self) -> Iterator[tuple[Path, int]]:
        """A folder of this process and its handle, locked while in use so that nobody's `sweep` takes it."""
        parent = self.root / "tmp"
        handle = None
        while handle is None:
            parent.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(dir=parent))
            # A sweep may have removed the folder before it was locked: then take another.
            handle = _lock(path)
        try:
            yield path, handle
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(handle)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BenchError(
                f"{self.root}: the job store cannot be written ({error.strerror}); "
                "free some space or make the folder writable, then run again"
            ) from error


def _lock(folder: Path) -> int | None:
    """Lock a folder until the returned handle is closed; None when another holds it or it is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
