"""The result file guarantee.json: written with six digits, read strictly."""

from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.files import read_json, write_json
from benchmark.studies.guarantee.measure import SCHEMA

NAME = "guarantee.json"
FIELDS: dict[str, set[str]] = {
    "problems": {
        *("name", "title", "loss", "units", "rows", "penalty", "minimum", "uncertain", "middle", "size", "largest"),
        *("batch", "batch_size", "batch_largest", "repetitions", "smoothness"),
    },
    "full": {"problem", "ratio", "step", "tuned_for", "steps", "average", "of_mean", "bound", "seen"},
    "batches": {"problem", "ratio", "batch", "points"},
    "last": {"problem", "ratio", "step", "steps", "last", "bound", "rise"},
    "rounding": {
        *("problem", "penalty", "discrete", "relaxed", "average", "last", "undecided"),
        *("threshold", "settled", "expected", "ceiling"),
    },
}
VERDICT = {"full", "seen", "batches", "last", "largest", "rise", "compared", "exceeded"}


def write(folder: Path, document: dict[str, Any]) -> None:
    """Write the result file into `folder`."""
    write_json(folder / NAME, _short(document))


def read(folder: Path) -> dict[str, Any]:
    """Read the result file of `folder`; `BenchError` when it is not one."""
    path = folder / NAME
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != {"schema", *FIELDS, "verdict", "provenance"}:
        raise BenchError(f"{path}: not a result file of the guarantee; restore it from git or run `dapbench guarantee`")
    if content["schema"] != SCHEMA:
        raise BenchError(
            f"{path}: schema {content['schema']!r}, this version reads {SCHEMA}; run `dapbench guarantee` again"
        )
    for name, fields in FIELDS.items():
        for index, record in enumerate(content[name]):
            if not isinstance(record, dict) or set(record) != fields:
                raise BenchError(f"{path}: {name} {index} has other fields than it should; run `dapbench guarantee`")
    if set(content["verdict"]) != VERDICT:
        raise BenchError(f"{path}: its verdict has other fields than it should; run `dapbench guarantee` again")
    return content


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _short(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_short(entry) for entry in value]
    return value
