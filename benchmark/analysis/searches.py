"""What the searches of a method left: METHOD.search.json."""

from pathlib import Path
from typing import Any

from benchmark.analysis.result_files import Searches, read_part


def read_search(path: Path) -> dict[str, Any]:
    """Read a METHOD.search.json: its `architectures` and `traces`; empty when the method was not run.

    An architecture's `notes`, and the lists `overlaps` and `nested`, are there only where something made them.
    """
    return read_part(path, Searches)[1] if path.exists() else {"architectures": [], "traces": []}
