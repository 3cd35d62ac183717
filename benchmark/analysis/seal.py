"""A summary is made of result files and nothing else: a file that differs from what was written is not read."""

import json
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.files import canonical_json, read_json, sha256

SEAL = "checksum"


def sealed(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the summary with the checksum of all the rest of it."""
    return {**summary, SEAL: _checksum(summary)}


def unsealed(path: Path, schema: int) -> dict[str, Any]:
    """Return the summary in a file; `BenchError` when it is absent, of another schema, or not as it was written.

    A file without a checksum, of before there were any, is taken as it is.
    """
    summary = read_json(path)
    if not isinstance(summary, dict) or summary.get("schema") != schema:
        raise BenchError(f"{path}: expected a summary of schema {schema}; run the stage analyse again")
    content = {key: value for key, value in summary.items() if key != SEAL}
    if summary.get(SEAL, (checksum := _checksum(content))) != checksum:
        raise BenchError(f"{path}: changed since the stage analyse wrote it; run that stage again")
    return content


def intact(content: dict[str, Any]) -> bool:
    """Return whether a content has the checksum that `sealed` gave it."""
    return content.get(SEAL) == _checksum({key: value for key, value in content.items() if key != SEAL})


def _checksum(summary: dict[str, Any]) -> str:
    # As JSON keeps it: whole numbers as keys become texts, which have another order.
    return sha256(canonical_json(json.loads(json.dumps(summary, allow_nan=False))))
