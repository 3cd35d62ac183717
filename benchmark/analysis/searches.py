"""What the searches of a method left: METHOD.search.json."""

from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.files import read_json

SCHEMA = 1


def read_search(path: Path) -> dict[str, Any]:
    """Read a METHOD.search.json: its `architectures` and `traces`; empty when the method was not run.

    An architecture's `notes`, and the lists `overlaps` and `nested`, are there only where something made them.
    """
    if not path.exists():
        return {"architectures": [], "traces": []}
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BenchError(f"{path}: expected a search file of schema {SCHEMA}; run the method's search stage again")
    return content
