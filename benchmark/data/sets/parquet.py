"""`parquet:PATH`: images and labels in Parquet files, in the layout of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.formats import chain
from benchmark.data.image_files import decode_all
from benchmark.data.image_folders import count, stamp
from benchmark.data.parquet_layout import find_files, left_out, read_layout
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 256
_MANY = 10_000  # classes, from which on a number that is larger than the file is long is no class's


class Parquet(Dataset):
    """Encoded images (a binary column, or a struct with the field `bytes`) and a class label, in one or several files.

    PATH is a file, a folder (its *.parquet files follow one another by name) or a pattern (`set/train-*.parquet`).
    `PATH#LABEL` names the label column where there are several, `PATH#LABEL,IMAGE` the image column too. Labels are
    class numbers, with names from the Hugging Face metadata if there are any (a file that names them in another order
    is read by the names), or texts, which are numbered in alphabetical order.
    """

    name: ClassVar[str] = "parquet"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return the one form."""
        return (f"{cls.name}:PATH",)

    @classmethod
    def check(cls, option: str, where: str) -> int | None:
        """Read the first file's schema; the number of classes is known if the metadata name them."""
        layout = read_layout(option, where)
        return len(layout.names) if layout.names else None

    @classmethod
    def stamp(cls, option: str) -> str:
        """Follow every file's name, size and time."""
        return stamp(find_files(option.partition("#")[0], cls.name))

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """Read the labels; the images are read row group by row group later."""
        where = f"{cls.name}:{option}"
        layout = read_layout(option, where)
        columns = [_labels(path, layout.label, where) for path in layout.files]
        texts = sorted({value for column in columns for value in column}, key=lambda value: (str(type(value)), value))
        names = layout.names
        if all(isinstance(value, str) for value in texts):
            number = {text: index for index, text in enumerate(texts)}
            columns = [[number[value] for value in column] for column in columns]
            names = tuple(texts)
        if not texts:
            raise BenchError(f"{where}: holds no row; name files with images")
        try:
            values = [np.array(column, dtype=np.int64) for column in columns]
        except OverflowError as error:
            raise BenchError(f"{where}: the labels of column {layout.label!r} are no class numbers") from error
        labels = np.concatenate(values)
        if not names and labels.max() >= max(len(labels), _MANY):
            raise BenchError(
                f"{where}: column {layout.label!r} has the label {labels.max()} in {len(labels)} rows, so its numbers "
                "are not those of classes, 0 for the first; name another column, or write the labels as texts"
            )
        chosen = "texts" if texts and isinstance(texts[0], str) else "named numbers" if names else "numbers"
        names = names or tuple(str(index) for index in range(int(labels.max()) + 1))
        if labels.min() < 0 or labels.max() >= len(names):
            raise BenchError(f"{where}: the labels of column {layout.label!r} are not all in 0..{len(names) - 1}")
        # A file that names the classes in another order numbers them otherwise.
        values = [own if map_ is None else map_[own] for own, map_ in zip(values, layout.maps, strict=True)]
        parts = [
            (part, partial(_encoded, path, layout.image, where))
            for part, path in zip(values, layout.files, strict=True)
        ]
        labels, encoded = chain(parts)
        return Stored(
            labels=labels,
            classes=names,
            # Of all files at once, so that every broken image is named.
            read=lambda rows: decode_all(encoded(rows)),
            licence="none stated",
            citation="none stated",
            source=f"{where} ({len(layout.files)} files)",
            inputs=replace(
                count(layout.files, left_out(option.partition("#")[0], layout.files)),
                chosen=f"images in column {layout.image!r}, labels in column {layout.label!r} ({chosen})",
            ),
        )


def _labels(path: Path, column: str, where: str) -> list[Any]:
    import pyarrow.parquet as pq

    with _readable(path, where):
        values: list[Any] = pq.read_table(path, columns=[column]).column(0).to_pylist()
    if None in values:
        raise BenchError(f"{where}: row {values.index(None)} of {path} has no label in column {column!r}")
    return values


def _encoded(path: Path, column: str, where: str, rows: NDArray[np.int64]) -> Iterator[tuple[bytes, str]]:
    """Yield the encoded images at these ascending rows, and their `where`."""
    import pyarrow.parquet as pq

    with _readable(path, where), pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            wanted = set(rows[(rows >= start) & (rows < start + count)].tolist())
            if wanted:
                row = start
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=[column]):
                    for value in batch.column(0):
                        if row in wanted:
                            place = f"{where}: row {row} of {path}"
                            yield _content(value.as_py(), place), place
                        row += 1
            start += count


@contextmanager
def _readable(path: Path, where: str) -> Iterator[None]:
    """Say which file is damaged."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise BenchError(
            f"{where}: {path} is damaged ({str(error).splitlines()[0]}); get the file again, or leave it out"
        ) from error


def _content(value: Any, where: str) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        raise BenchError(f"{where} holds no image bytes; store the images in the file, not their paths")
    return bytes(content)
