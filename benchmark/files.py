"""Files that are either whole or absent: atomic writes, strict reads, content hashes."""

import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError

DEPTH = 64
DIGITS = 30


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the whole new one.

    Temporary file in the same folder, fsync, rename. A write that fails (full disk,
    read-only folder) leaves the old file as it was and raises `BenchError`.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise BenchError(
            f"{path}: cannot be written ({error.strerror}); free some space or make the folder writable, then run again"
        ) from error


def canonical_json(value: Any) -> bytes:
    """Return the one byte string of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON that ends with a newline."""
    atomic_write(path, (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; `BenchError` names the file when it is missing or not JSON.

    Refused is also what no writer of this suite makes: NaN and infinities, numbers too large to be one (1e999, whole
    ones of more than `DIGITS`), and values nested deeper than `DEPTH`, which would exhaust the stack of who walks them.
    """

    def refuse(token: str) -> float:
        raise ValueError(f"{token} is not a JSON number")

    def finite(token: str) -> float:
        value = float(token)
        return value if math.isfinite(value) else refuse(token)

    def whole(token: str) -> int:
        return int(token) if len(token) <= DIGITS else int(refuse(f"{token[:DIGITS]}..."))

    try:
        value = json.loads(path.read_text(), parse_constant=refuse, parse_float=finite, parse_int=whole)
        _check_depth(value)
        return value
    except FileNotFoundError as error:
        raise BenchError(f"{path}: no such file; `dvc repro` or `dapbench run` makes it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(
            f"{path}: not a readable JSON file ({error}); restore it from git or remove it and run again"
        ) from error


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH):
        parts = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [child for part in parts for child in part]
        if not level:
            return
    raise ValueError(f"nested deeper than {DEPTH} levels")


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def share(text: float) -> str:
    """Return a budget as it stands in file names and labels: 0.05 is "5", 0.005 is "0.5" (percent)."""
    percent = text * 100
    return f"{percent:.0f}" if math.isclose(percent, round(percent)) else f"{percent:g}"
