"""A YAML file as plain values, read within bounds of size and depth."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from benchmark.errors import BenchError

BYTES = 1_000_000
DEPTH = 30
VALUES = 100_000


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML 1.2 file, as DVC reads it: 5e-4 is a number, a key that is given again an error.

    Raises `BenchError` for a file that is not there, cannot be read, or is larger or deeper than any description of an
    experiment.
    """
    try:
        if path.stat().st_size > BYTES:
            raise BenchError(f"{path}: larger than {BYTES // 1000} kB; expected a description of experiments")
        text = path.read_text()
        _check_bounds(text, path)
        return YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError as error:
        raise BenchError(f"{path}: no such file; run in the repository's folder or name one with --params") from error
    except DuplicateKeyError as error:
        found = re.search(r'duplicate key "(.*?)"', str(error.problem))
        key, line = found[1] if found else "", error.problem_mark.line + 1
        raise BenchError(f"{path}: line {line}: the key {key!r} is given twice; remove one") from error
    # Dates that do not exist and numbers of thousands of digits are a ValueError.
    except (OSError, ValueError, YAMLError, RecursionError) as error:
        raise BenchError(
            f"{path}: not readable as YAML ({' '.join(str(error).split())}); correct or restore it"
        ) from error


def _check_bounds(text: str, path: Path) -> None:
    """Look at the structure before anything is built: a few aliases within each other stand for billions of values."""
    sizes: dict[str, int] = {}  # of what an anchor stands for
    opened: list[tuple[str | None, int]] = [(None, 0)]
    events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
    for event in events:
        size, anchor = 0, getattr(event, "anchor", None)
        if isinstance(event, CollectionStartEvent):
            opened.append((anchor, 1))
        elif isinstance(event, CollectionEndEvent):
            anchor, size = opened.pop()
        elif isinstance(event, ScalarEvent):
            size = 1
        elif isinstance(event, AliasEvent):
            anchor, size = None, sizes.get(event.anchor, 1)
        if anchor is not None and size:
            sizes[anchor] = size
        opened[-1] = opened[-1][0], opened[-1][1] + size
        if len(opened) > DEPTH or opened[-1][1] > VALUES:
            what = f"nested deeper than {DEPTH} levels" if len(opened) > DEPTH else f"more than {VALUES} values"
            raise BenchError(f"{path}: {what}; expected a description of experiments")
