"""Finished jobs and prepared data sets at an address, for machines that share no file system."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec

from benchmark.config.params import DatasetRef
from benchmark.data.prepare import slug
from benchmark.errors import BenchError
from benchmark.files import read_json
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.specs import FloorSpec, SearchSpec, SourceSpec, TransferSpec
from benchmark.jobs.store import Store

JOB, MANIFEST = "job.json", "manifest.json"  # sent last: where it is, the others are


@dataclass(frozen=True)
class Depot:
    """What lies at any address that fsspec knows (s3://, gs://, sftp://, file://).

    Jobs are at `jobs`/ab/KEY, data sets at `data`/FOLDER-DIGEST. What is there is never changed. Every method raises
    `BenchError` when the address cannot be used.
    """

    address: str

    def keys(self) -> set[str]:
        """Return the keys of all jobs that are there."""
        with self._told():
            files, root = self._files, f"{self._root}/jobs"
            found = files.find(root) if files.exists(root) else []
            return {path.split("/")[-2] for path in found if path.endswith(f"/{JOB}")}

    def send(self, store: Store, key: str) -> None:
        """Copy a job of a store, unless it is there."""
        names = [path.name for path in store.folder(key).iterdir()]
        self._send(store.folder(key), self._job(key), sorted(names, key=lambda name: name == JOB), JOB)

    def fetch(self, store: Store, key: str) -> bool:
        """Copy a job to a store that lacks it; returns whether the store has it now."""
        if store.has(key):
            return True
        with self._told():
            if not self._files.exists(f"{self._job(key)}/{JOB}"):
                return False
            content = {path.rsplit("/", 1)[-1]: self._files.cat_file(path) for path in self._list(self._job(key))}
        store.receive(key, content)
        return True

    def send_data(self, ref: DatasetRef, digest: str, root: Path) -> None:
        """Copy a prepared data set, whose content has this hash, unless it is there."""
        folder = root / slug(ref)
        names = [path.name for path in folder.iterdir()]
        self._send(folder, self._data(ref, digest), sorted(names, key=lambda name: name == MANIFEST), MANIFEST)

    def fetch_data(self, ref: DatasetRef, digest: str, root: Path) -> None:
        """Copy a data set to the prepared ones in `root`, unless it is there with this content."""
        folder, place = root / slug(ref), self._data(ref, digest)
        if folder.exists() and read_json(folder / MANIFEST)["digest"] == digest:
            return
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=root, prefix=f".{folder.name}."))
        try:
            with self._told():
                for path in self._list(place):
                    self._files.get_file(path, str(temporary / path.rsplit("/", 1)[-1]))
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def fetch_inputs(self, job: Job[Spec], store: Store, root: Path) -> None:
        """Copy what a job reads: its data sets, and the jobs that it goes on from."""
        for ref, digest in data_sets(job):
            self.fetch_data(ref, digest, root)
        for key in needs(job):
            self.fetch(store, key)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        with self._told():
            files, root = fsspec.core.url_to_fs(self.address)
        return files, root.rstrip("/")

    @property
    def _files(self) -> Any:
        return self._place[0]

    @property
    def _root(self) -> str:
        return self._place[1]

    def _job(self, key: str) -> str:
        return f"{self._root}/jobs/{key[:2]}/{key}"

    def _data(self, ref: DatasetRef, digest: str) -> str:
        return f"{self._root}/data/{slug(ref)}-{digest}"

    def _list(self, place: str) -> list[str]:
        self._files.invalidate_cache(place)
        return [path for path in self._files.ls(place, detail=False) if not path.endswith(".part")]

    def _send(self, folder: Path, place: str, names: Iterable[str], last: str) -> None:
        with self._told():
            if self._files.exists(f"{place}/{last}"):
                return
            self._files.makedirs(place, exist_ok=True)
            for name in names:
                # Another worker may send the same.
                part = f"{place}/{name}.{uuid.uuid4().hex}.part"
                self._files.put_file(os.fspath(folder / name), part)
                self._files.mv(part, f"{place}/{name}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise BenchError(
                f"--store {self.address}: {said}; expected an address that fsspec can write to, see docs/cluster.md"
            ) from error


def needs(job: Job[Spec]) -> list[str]:
    """Return the keys of the jobs that a job reads."""
    pretrain = []
    if isinstance(job.spec, SearchSpec):
        pretrain = [job.spec.pretrain]
    elif isinstance(job.spec, TransferSpec) and job.spec.teacher is not None:
        pretrain = [job.spec.teacher]
    return [*pretrain, *([job.inputs["search"]] if "search" in job.inputs else [])]


def data_sets(job: Job[Spec]) -> list[tuple[DatasetRef, str]]:
    """Return the data sets that a job reads, and the hashes of their content."""
    if not isinstance(job.spec, SourceSpec):
        return []
    targets = job.spec.targets if isinstance(job.spec, TransferSpec | FloorSpec) else []
    return [(job.spec.source, job.spec.source_digest), *((target.ref, target.digest) for target in targets)]
