"""The result row: one tidy record per measured accuracy, and the file that holds them."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import BenchError
from benchmark.files import read_json, write_json

SCHEMA = 1
# What makes a row this row and no other of its suite; everything else in it is a result, or a key.
IDENTITY = (
    *("method", "variant", "granularity", "cost", "budget", "seed", "weights", "target", "shots", "draw", "arm"),
    *("measure", "retraining"),
)
Share = Field(ge=0.0, le=1.0)


class Row(BaseModel):
    """One accuracy on one target task, with everything that led to it.

    Shares (`budget`, `complexity`, accuracies) lie in [0, 1]; `params` are parameters and `macs`
    multiply-accumulates of the extracted network for one image; `*_flops` are floating-point
    operations (2 per MAC; a training step counts three forward passes). `top5`, where the suite asks for it,
    counts a class among the five first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    suite: str
    model: str
    method: str
    variant: str
    granularity: Literal["channel", "weight", "block", "block+channel"]
    cost: Literal["params", "macs", "memory"]
    budget: float = Field(gt=0.0, le=1.0)
    complexity: float = Field(gt=0.0, le=1.0)
    seed: int = Field(ge=0)
    weights: Literal["fresh", "scratch", "inherit"]
    target: str
    shots: int = Field(ge=1)
    draw: int = Field(ge=0)
    arm: str
    accuracy: float = Share
    source_accuracy: float | None = Field(ge=0.0, le=1.0)
    params: int = Field(ge=1)
    macs: int = Field(ge=1)
    search_flops: int = Field(ge=0)
    train_flops: int = Field(ge=0)
    cell: str
    pretrain_flops: int = Field(ge=0)
    search_cell: str
    architecture: str
    measure: Literal["nearest", "probe", "finetune"] = "finetune"
    retraining: int = Field(default=0, ge=0)
    episodes: int = Field(default=1, ge=1)
    episode_sd: float | None = Field(default=None, ge=0.0)
    top5: float | None = Field(default=None, ge=0.0, le=1.0, exclude_if=lambda value: value is None)


def write_results(path: Path, rows: list[Row], provenance: dict[str, Any]) -> None:
    """Write a result file atomically: `{"schema", "rows", "provenance"}`, rows in the order given."""
    write_json(path, {"schema": SCHEMA, "rows": [row.model_dump() for row in rows], "provenance": provenance})


def read_results(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Read and validate a result file; returns its rows and its provenance.

    Raises `BenchError` naming the file, the row and the field that is wrong.
    """
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != {"schema", "rows", "provenance"}:
        raise BenchError(f"{path}: not a result file (expected the keys schema, rows, provenance); restore it from git")
    if content["schema"] != SCHEMA:
        raise BenchError(
            f"{path}: schema {content['schema']!r}, this version reads {SCHEMA}; "
            "update dapbench or restore the file from git"
        )
    records, provenance = content["rows"], content["provenance"]
    if not isinstance(records, list) or not isinstance(provenance, dict):
        raise BenchError(f"{path}: expected a list of rows and an object of provenance; restore the file from git")
    if not isinstance(provenance.get("machine", {}), dict):
        raise BenchError(f"{path}: provenance.machine: expected an object; restore the file from git")
    rows = []
    for index, record in enumerate(records):
        try:
            rows.append(Row.model_validate(record))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "row"
            raise BenchError(
                f"{path}: row {index}, {field}: {first['msg']}; restore the file from git or recompute it"
            ) from error
    return rows, provenance
