"""Parquet files of images: which files, which columns, and what their labels are called."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.image_folders import FORMAT, HIDDEN, is_hidden
from benchmark.errors import BenchError

BELOW = "in a folder below the one that was named"
_IMAGE_NAMES, _LABEL_NAMES = frozenset({"image", "images", "img"}), frozenset({"label", "labels"})


@dataclass(frozen=True)
class Layout:
    """Where the images and labels are; `names` are those of the classes in the first file, () if it has none.

    `maps` holds for each file the number, in `names`, of each of its own class numbers (None: the same).
    """

    files: list[Path]
    image: str
    label: str
    names: tuple[str, ...]
    maps: list[NDArray[np.int64] | None]


def find_files(option: str, where: str) -> list[Path]:
    """Return the files of a path, a folder or a pattern, sorted by name; `BenchError` if there are none."""
    try:
        path = Path(option).expanduser()
        if path.is_dir():
            found = sorted(
                one for one in path.iterdir() if one.suffix.lower() == ".parquet" and not is_hidden(one.name)
            )
        else:
            found = [path] if path.is_file() else sorted(Path(name) for name in glob.glob(str(path)))  # noqa: PTH207
    except (OSError, RuntimeError, ValueError) as error:
        raise BenchError(
            f"{where}: {option!r} cannot be looked into ({getattr(error, 'strerror', None) or error}); expected a "
            "file, a folder of Parquet files or a pattern"
        ) from error
    if not option or not found:
        raise BenchError(
            f"{where}: no Parquet file at {option or 'PATH'!r}; expected a file, a folder of them or a pattern"
        )
    return found


def left_out(option: str, files: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return what else lies in and below a folder of Parquet files, and why it is not read."""
    folder = Path(option).expanduser()
    others = sorted({path for path in folder.rglob("*") if path.is_file()} - {*files}) if folder.is_dir() else []
    hidden = {path: any(map(is_hidden, path.relative_to(folder).parts)) for path in others}
    below = {path: path.suffix.lower() == ".parquet" for path in others}
    return [(path, HIDDEN if hidden[path] else BELOW if below[path] else FORMAT) for path in others]


def read_layout(option: str, where: str) -> Layout:
    """Read the schemas of `PATH#LABEL,IMAGE` (both columns optional); `BenchError` where the choice is not clear."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    location, _, columns = option.partition("#")
    label, _, image = columns.partition(",")
    files = find_files(location, where)
    schemas = []
    for path in files:
        try:
            schemas.append(pq.read_schema(path))
        except (OSError, pa.ArrowException) as error:
            raise BenchError(f"{where}: {path} is not a Parquet file ({str(error).splitlines()[0]})") from error
    schema = schemas[0]
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise BenchError(f"{where}: {files[0]} has several columns named {twice[0]!r}; rename all but one")
    for path, other in zip(files, schemas, strict=True):
        if {field.name: field.type for field in other} != {field.name: field.type for field in schema}:
            raise BenchError(f"{where}: {path} has other columns than {files[0]}; name files of one set")
    features = [_features(schema) for schema in schemas]
    chosen = _choose(schema, features[0], "image", image, where), _choose(schema, features[0], "label", label, where)
    names = [
        _class_names(feature.get(chosen[1], {}), path, where) for feature, path in zip(features, files, strict=True)
    ]
    maps = [_map(own, names[0], path, files[0], where) for own, path in zip(names, files, strict=True)]
    return Layout(files, *chosen, names[0], maps)


def _choose(schema: Any, features: Mapping[str, Any], kind: str, wanted: str, where: str) -> str:
    """Return the column of images or labels: the one asked for, marked as such, of a usual name, or the only one."""
    fits, mark, usual = {
        "image": (_holds_images, "Image", _IMAGE_NAMES),
        "label": (_holds_labels, "ClassLabel", _LABEL_NAMES),
    }[kind]
    able = [field.name for field in schema if fits(field.type)]
    marked = [name for name in able if features.get(name, {}).get("_type") == mark]
    named = [name for name in able if name in usual]
    candidates = [wanted] if wanted else marked or named or able
    if len(candidates) == 1 and candidates[0] in able:
        return candidates[0]
    what = "column of encoded images" if kind == "image" else "label column"
    form = "parquet:PATH#LABEL,IMAGE" if kind == "image" else "parquet:PATH#COLUMN"
    there = ", ".join(f"{field.name} ({field.type})" for field in schema)
    found = ", ".join(able) or f"none of {'bytes' if kind == 'image' else 'whole numbers or texts'} among {there}"
    if wanted:
        raise BenchError(f"{where}: {wanted!r} is no {what}, found {found}; name one as {form}")
    raise BenchError(f"{where}: expected one {what}, found {found}; name it as {form}")


def _features(schema: Any) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {key: value for key, value in features.items() if isinstance(value, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _class_names(feature: Mapping[str, Any], path: Path, where: str) -> tuple[str, ...]:
    names = feature.get("names") or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise BenchError(f"{where}: {path} names its classes in another way than as a list of texts; write it again")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BenchError(f"{where}: {path} gives two classes the name {twice!r}; rename one of them")
    return tuple(names)


def _map(own: Sequence[str], names: Sequence[str], path: Path, first: Path, where: str) -> NDArray[np.int64] | None:
    """Return the number in `names` of each of a file's own class names; None if they are in the same order."""
    if own == names:
        return None
    if set(own) != set(names):
        other = ", ".join(sorted(set(own) ^ set(names)))
        raise BenchError(
            f"{where}: {path} and {first} do not name the same classes ({other}: in one of them only), so the numbers "
            "of one may mean something else in the other; name files of one set, or write the labels as texts"
        )
    return np.array([names.index(name) for name in own], dtype=np.int64)


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_labels(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _holds_labels(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))
