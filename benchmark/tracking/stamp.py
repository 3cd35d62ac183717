"""Whether anything has to be tracked, found out without importing MLflow, which takes seconds.

A stamp beside the artifacts says from which inputs the database last showed each suite, and in which state it was left.
It only saves time: without it everything is compared with what MLflow holds.
"""

from pathlib import Path

from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.files import canonical_json, file_sha256, read_json, sha256, write_json
from benchmark.tracking.git import commit_of
from benchmark.tracking.sources import files_below

_FOLDERS = ("results", "analysis", "slices", "code", "figures", "tables")


def inputs_hash(params: Params, root: Path, suite: str) -> str:
    """Return the hash of all that a suite's runs are made from: parameters, files, commit, and this room's code."""
    reports = root / "reports"
    folders = [*(reports / name / suite for name in _FOLDERS), root / "artifacts" / suite / "search"]
    files = [path for folder in folders for path in files_below(folder).values()]
    files += [path for path in [root / "dvc.lock"] if path.exists()]
    content = {
        "suite": params.suites[suite].model_dump(mode="json"),
        "methods": {name: params.method(name).model_dump(mode="json") for name in params.methods_of(suite)},
        "files": {path.relative_to(root).as_posix(): file_sha256(path) for path in files},
        "code": [file_sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))],
        "commit": commit_of(root, reports / "results" / suite),
    }
    return sha256(canonical_json(content))


def unchanged(stamp: Path, database: Path) -> dict[str, str]:
    """Return the inputs by suite that `database` shows; none if anybody has written to it since, or it is another."""
    try:
        content = read_json(stamp)
    except BenchError:
        return {}
    known = isinstance(content, dict) and database.exists() and content.get("database") == _state(database)
    return dict(content["suites"]) if known else {}


def write_stamp(stamp: Path, database: Path, suites: dict[str, str]) -> None:
    """Note that `database`, as it is now, shows these inputs by suite."""
    write_json(stamp, {"database": _state(database), "suites": suites})


def _state(database: Path) -> list[str | int]:
    # The number of the file tells a copy from the database itself: MLflow keeps absolute paths in it.
    found = database.stat()
    return [str(database), found.st_ino, found.st_size, found.st_mtime_ns]
