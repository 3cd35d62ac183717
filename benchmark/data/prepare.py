"""Data sets in memory, and prepared on disk as arrays that are mapped into memory instead of read."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.base import ImageData, Places, Progress, Stored, mirror_list, reference, silent
from benchmark.data.inputs import manifest_entry, say_skipped
from benchmark.data.manifest import AGAIN, SCHEMA, Manifest, check_manifest
from benchmark.data.registry import find
from benchmark.data.transforms import ContentHash, blocks, select
from benchmark.data.verify import ARRAYS, map_arrays, verify
from benchmark.errors import BenchError
from benchmark.files import canonical_json, read_json, sha256, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.config.params import DatasetRef


@dataclass(frozen=True)
class Content:
    """What a set holds besides its pixels."""

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    per_class: list[int]
    digest: str
    groups: NDArray[np.int64]


def load(
    ref: DatasetRef,
    mirrors: Sequence[str] = (),
    downloads: Path = Places.downloads,
    progress: Progress = silent,
) -> ImageData:
    """Return a data set in memory: the classes, channels and size that `ref` asks for.

    Mirrors (folders or addresses) come before DAPBENCH_MIRRORS, and both before the official place, from which files
    are downloaded to `downloads`. `BenchError` for a set that is unknown, not to be had, or not as its checksum says.
    """
    import torch

    images: NDArray[np.uint8] | None = None

    def keep(start: int, block: NDArray[np.uint8], count: int) -> None:
        nonlocal images
        if images is None:
            images = np.empty((count, *block.shape[1:]), dtype=np.uint8)
        images[start : start + len(block)] = block

    stored = open_stored(ref, mirrors, downloads, progress)
    content = stream(ref, stored, keep, progress)
    if stored.inputs is not None:
        say_skipped(ref.name, stored.inputs)
    return ImageData(
        name=ref.name,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(content.labels.copy()),
        classes=content.classes,
        digest=content.digest,
        licence=stored.licence,
        citation=stored.citation,
        source=stored.source,
        groups=torch.from_numpy(content.groups),
    )


def slug(ref: DatasetRef) -> str:
    """Return the folder name of a prepared set: readable, and different for different references."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", ref.name)[-40:].strip("-")
    return f"{readable}-{sha256(canonical_json(reference(ref)))[:12]}"


def prepare(ref: DatasetRef, root: Path, mirrors: Sequence[str] = (), progress: Progress = silent) -> Manifest:
    """Write a data set to `root`/`slug(ref)` as .npy arrays and manifest.json, and return the manifest.

    Pixels go to disk in blocks, so a set may be larger than memory. The folder appears at once, complete, or not at
    all. A set that is there already is left alone, unless it comes from a user's files and these have changed.
    """
    folder = root / slug(ref)
    dataset, option = find(ref.name, "name")
    dataset.check(option, "name")
    stamp = dataset.stamp(option)
    if (folder / "stamp").is_file() and (folder / "stamp").read_text() == stamp:
        # A damaged set is made again.
        with suppress(BenchError):
            manifest = _open_manifest(folder)
            verify(folder, manifest)
            return manifest
    stored = open_stored(ref, mirrors, root / "downloads", progress)
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=root, prefix=f".{folder.name}."))
        try:
            manifest = _write(ref, stored, temporary, progress)
            (temporary / "stamp").write_text(stamp)
            temporary.chmod(0o755)
            _publish(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot be written ({error.strerror}); free some space or make the folder writable, "
            "then run again"
        ) from error
    return manifest


def open_prepared(ref: DatasetRef, root: Path) -> ImageData:
    """Return the set that `prepare` wrote for `ref`, its tensors mapped from disk (read-only: never write to them).

    `BenchError` for one that is missing, truncated, or not what `prepare` wrote: the content is compared with the
    manifest's hash, once per process and state of the files.
    """
    import torch

    folder = root / slug(ref)
    manifest = _open_manifest(folder)
    verify(folder, manifest)
    tensors = {}
    for name, array in map_arrays(folder, manifest).items():
        with warnings.catch_warnings():
            # torch warns that the array is read-only; that is the point of it.
            warnings.simplefilter("ignore", UserWarning)
            tensors[name] = torch.from_numpy(array)
    return ImageData(
        name=manifest["name"],
        images=tensors["images.npy"],
        labels=tensors["labels.npy"],
        classes=tuple(manifest["classes"]),
        digest=manifest["digest"],
        licence=manifest["licence"],
        citation=manifest["citation"],
        source=manifest["source"],
        groups=tensors["groups.npy"],
    )


def open_stored(ref: DatasetRef, mirrors: Sequence[str], downloads: Path, progress: Progress) -> Stored:
    """Return the set of a reference as it lies on disk; see `Dataset.open`."""
    dataset, option = find(ref.name, "name")
    dataset.check(option, "name")
    return dataset.open(option, Places(mirror_list(mirrors), downloads, progress))


def stream(
    ref: DatasetRef, stored: Stored, write: Callable[[int, NDArray[np.uint8], int], None], progress: Progress
) -> Content:
    """Hand the converted images, block by block, to `write(start, block, count of all)`; return everything else."""
    rows, labels, classes = select(stored, ref)
    per_class = np.bincount(labels, minlength=len(classes))
    if len(classes) < 2:
        raise BenchError(f"{ref.name}: {len(classes)} class is no task; at least two are needed")
    if per_class.min() == 0:
        empty = classes[int(per_class.argmin())]
        raise BenchError(f"{ref.name}: class {empty!r} has no images; leave it out with `classes`")
    content = ContentHash(len(rows))
    done = 0
    for block in blocks(stored.read(rows), ref):
        write(done, block, len(rows))
        content.add(block)
        done += len(block)
        progress(f"read {ref.name}", done / len(rows))
    assert done == len(rows), f"{ref.name}: {done} images for {len(rows)} labels"
    return Content(labels, classes, per_class.tolist(), content.digest(labels), content.groups())


def _write(ref: DatasetRef, stored: Stored, folder: Path, progress: Progress) -> Manifest:
    shape: tuple[int, ...] = ()
    # Written, not mapped: on a full disk a write is an error that can be told, a mapped page is a killed process.
    with (folder / "images.npy").open("wb") as file:

        def append(start: int, block: NDArray[np.uint8], count: int) -> None:
            nonlocal shape
            if start == 0:
                shape = block.shape[1:]
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block).data)

        content = stream(ref, stored, append, progress)
        file.flush()
        os.fsync(file.fileno())
    for name, array in (("labels.npy", content.labels), ("groups.npy", content.groups)):
        with (folder / name).open("wb") as file:
            np.lib.format.write_array(file, array.astype("<i8"), version=(1, 0), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    manifest = {
        "schema": SCHEMA,
        "name": ref.name,
        "ref": reference(ref),
        "count": len(content.labels),
        "shape": list(shape),
        "dtype": "uint8",
        "classes": list(content.classes),
        "per_class": content.per_class,
        "duplicates": int((content.groups != np.arange(len(content.groups))).sum()),
        "digest": content.digest,
        "licence": stored.licence,
        "citation": stored.citation,
        "source": stored.source,
        "files": {name: (folder / name).stat().st_size for name in ARRAYS},
    }
    if stored.inputs is not None:
        manifest["inputs"] = manifest_entry(stored.inputs)
        say_skipped(ref.name, stored.inputs)
    write_json(folder / "manifest.json", manifest)
    return manifest


def _publish(temporary: Path, folder: Path) -> None:
    if folder.exists():
        folder.rename(temporary / "previous")
    try:
        temporary.rename(folder)
    except OSError:
        # Another process was faster; what it wrote is the same.
        if not folder.is_dir():
            raise
    shutil.rmtree(folder / "previous", ignore_errors=True)


def _open_manifest(folder: Path) -> Manifest:
    if not folder.is_dir():
        raise BenchError(f"{folder}: data set not prepared; run `dvc repro` or `dapbench run`")
    where = folder / "manifest.json"
    if not where.is_file():
        raise BenchError(f"{where}: missing, so this is no prepared data set; {AGAIN}")
    manifest = check_manifest(read_json(where), str(where))
    for name in ARRAYS:
        size = (folder / name).stat().st_size if (folder / name).is_file() else 0
        if size != manifest["files"].get(name):
            raise BenchError(f"{folder / name}: {size} bytes, {manifest['files'].get(name)} expected; {AGAIN}")
    return manifest
