"""`parquet:PATH`: images and labels in Parquet files, in the layout of the Hugging Face Hub."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.formats import chain
from benchmark.data.image_files import decode, stamp
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.data.formats import Part

_BATCH = 256


class Parquet(Dataset):
    """Encoded images (a binary column, or a struct with the field `bytes`) and a class label, in one or several files.

    PATH is a file, a folder (its *.parquet files follow one another by name) or a pattern (`set/train-*.parquet`).
    `PATH#COLUMN` names the label column where there are several. Labels are class numbers, with names from the Hugging
    Face metadata if there are any, or texts, which are numbered in alphabetical order.
    """

    name: ClassVar[str] = "parquet"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return the one form."""
        return (f"{cls.name}:PATH",)

    @classmethod
    def check(cls, option: str, where: str) -> int | None:
        """Read the first file's schema; the number of classes is known if the metadata name them."""
        layout = _layout(option, where)
        return len(layout.names) if layout.names else None

    @classmethod
    def stamp(cls, option: str) -> str:
        """Follow every file's name, size and time."""
        return stamp(_files(option.partition("#")[0], cls.name))

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """Read the labels; the images are read row group by row group later."""
        where = f"{cls.name}:{option}"
        layout = _layout(option, where)
        columns = [_labels(path, layout.label, where) for path in layout.files]
        texts = sorted({value for column in columns for value in column}, key=lambda value: (str(type(value)), value))
        names = layout.names
        if all(isinstance(value, str) for value in texts):
            number = {text: index for index, text in enumerate(texts)}
            columns = [[number[value] for value in column] for column in columns]
            names = tuple(texts)
        values = [np.array(column, dtype=np.int64) for column in columns]
        labels = np.concatenate(values)
        names = names or tuple(str(index) for index in range(int(labels.max(initial=-1)) + 1))
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(names):
            raise BenchError(f"{where}: the labels of column {layout.label!r} are not all in 0..{len(names) - 1}")
        parts: list[Part] = [
            (part, _reader(path, layout.image, where)) for part, path in zip(values, layout.files, strict=True)
        ]
        return Stored(
            labels=labels,
            classes=names,
            read=chain(parts)[1],
            licence="none stated",
            citation="none stated",
            source=f"{where} ({len(layout.files)} files)",
        )


@dataclass(frozen=True)
class _Layout:
    files: list[Path]
    image: str
    label: str
    names: tuple[str, ...]


def _files(option: str, where: str) -> list[Path]:
    path = Path(option).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.parquet"))
    else:
        found = [path] if path.is_file() else sorted(Path(name) for name in glob.glob(str(path)))  # noqa: PTH207
    if not option or not found:
        raise BenchError(
            f"{where}: no Parquet file at {option or 'PATH'!r}; expected a file, a folder of them or a pattern"
        )
    return found


def _layout(option: str, where: str) -> _Layout:
    import pyarrow as pa
    import pyarrow.parquet as pq

    location, _, wanted = option.partition("#")
    files = _files(location, where)
    schemas = []
    for path in files:
        try:
            schemas.append(pq.read_schema(path))
        except (OSError, pa.ArrowException) as error:
            raise BenchError(f"{where}: {path} is not a Parquet file ({str(error).splitlines()[0]})") from error
    schema = schemas[0]
    for path, other in zip(files, schemas, strict=True):
        if not schema.equals(other):
            raise BenchError(f"{where}: {path} has other columns than {files[0]}; name files of one set")
    features = _features(schema)
    images = [field.name for field in schema if _holds_images(field.type)]
    labels = [
        field.name
        for field in schema
        if pa.types.is_integer(field.type) or pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    named = [name for name in labels if features.get(name, {}).get("_type") == "ClassLabel"]
    candidates = [wanted] if wanted else named or [name for name in labels if name in {"label", "labels"}] or labels
    if len(images) != 1:
        raise BenchError(f"{where}: expected one column of encoded images, found {', '.join(images) or 'none'}")
    if len(candidates) != 1 or candidates[0] not in labels:
        raise BenchError(
            f"{where}: expected one label column, found {', '.join(labels) or 'none'}; name it as parquet:PATH#COLUMN"
        )
    return _Layout(files, images[0], candidates[0], tuple(features.get(candidates[0], {}).get("names") or ()))


def _features(schema: Any) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {key: value for key, value in features.items() if isinstance(value, dict)}


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _labels(path: Path, column: str, where: str) -> list[Any]:
    import pyarrow.parquet as pq

    values: list[Any] = pq.read_table(path, columns=[column]).column(0).to_pylist()
    if None in values:
        raise BenchError(f"{where}: row {values.index(None)} of {path} has no label in column {column!r}")
    return values


def _reader(path: Path, column: str, where: str) -> Any:
    import pyarrow.parquet as pq

    def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        with pq.ParquetFile(path) as file:
            start = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                wanted = set(rows[(rows >= start) & (rows < start + count)].tolist())
                if wanted:
                    row = start
                    for batch in file.iter_batches(_BATCH, row_groups=[group], columns=[column]):
                        for value in batch.column(0):
                            if row in wanted:
                                yield _pixels(value.as_py(), f"{where}: row {row} of {path}")
                            row += 1
                start += count

    return read


def _pixels(value: Any, where: str) -> NDArray[np.uint8]:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        raise BenchError(f"{where} holds no image bytes; store the images in the file, not their paths")
    return decode(content, where)
