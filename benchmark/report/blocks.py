"""Blocks of README.md that commands write: what stands between two markers is theirs."""

from collections.abc import Callable
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.files import atomic_write


def marks(name: str) -> tuple[str, str]:
    """Return the lines between which the block `name` stands."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def put(path: Path, name: str, block: Callable[[], str]) -> bool:
    """Replace the block `name` of the page at `path`; returns whether it changed. `BenchError` without its markers."""
    text = _read(path)
    fresh = _with(path, text, name, block)
    if fresh != text:
        atomic_write(path, fresh.encode())
    return fresh != text


def holds(path: Path, name: str, block: Callable[[], str]) -> bool:
    """Return whether the block `name` of the page at `path` is what `block` returns."""
    text = _read(path)
    return _with(path, text, name, block) == text


def _with(path: Path, text: str, name: str, block: Callable[[], str]) -> str:
    first, last = marks(name)
    begin, end = text.find(first), text.find(last)
    if begin < 0 or end < begin:
        raise BenchError(f"{path}: no {name} block; add the lines {first} and {last} where it belongs")
    return f"{text[: begin + len(first)]}\n{block()}\n{text[end:]}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror}); run in the repository's folder") from error
