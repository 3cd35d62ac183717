from collections.abc import Callable
from pathlib import Path

import pytest
from tracked import params_of, query, run_track, write_method

from benchmark.errors import BenchError
from benchmark.files import write_json
from benchmark.tracking import track


def truncate(root: Path) -> None:
    path = root / "reports/results/tiny/dap.json"
    path.write_bytes(path.read_bytes()[:100])


def wrong_suite(root: Path) -> None:
    write_method(root, "dap", lambda row: {**row, "suite": "other"})


def no_cell(root: Path) -> None:
    write_json(root / "reports/results/tiny/dap.timings.json", {"schema": 1, "cells": {}})


def newer_timings(root: Path) -> None:
    write_json(root / "reports/results/tiny/dap.timings.json", {"schema": 2, "cells": {}})


def bad_search(root: Path) -> None:
    write_json(
        root / "reports/results/tiny/dap.search.json", {"schema": 1, "architectures": [{"budget": 0.1}], "traces": []}
    )


def no_manifest(root: Path) -> None:
    (root / "reports/results/tiny/data.json").unlink()


def no_database(root: Path) -> None:
    (root / "mlflow.db").write_bytes(b"not a database, but long enough to be read as the head of one" * 40)


def foreign_database(root: Path) -> None:
    (root / "mlflow.db").unlink()
    query(root, "CREATE TABLE recipes (name TEXT)")


def newer_database(root: Path) -> None:
    query(root, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def file_for_folder(root: Path) -> None:
    (root / "mlartifacts").write_text("")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "dap.json: not a readable JSON file"),
        (wrong_suite, "dap.json: a row is of other/dap, expected tiny/dap"),
        (no_cell, "dap.timings.json: no timing of the job"),
        (newer_timings, "dap.timings.json: expected an object of schema 1"),
        (bad_search, "dap.search.json: architectures.0.variant: Field required; restore"),
        (no_manifest, "data.json: no such file"),
        (no_database, "mlflow.db: cannot be updated (file is not a database)"),
        (foreign_database, "mlflow.db: not an MLflow database"),
        (newer_database, "run `mlflow db upgrade sqlite:///mlflow.db` there"),
        (file_for_folder, "mlartifacts: cannot be made"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(root: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(root)
    before = (root / "mlflow.db").read_bytes()
    with pytest.raises(BenchError) as error:
        run_track(root)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert (root / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("uri", ["mlflow.db", "http://localhost:5000", "sqlite:///", "sqlite:///:memory:"])
def test_only_a_sqlite_file_is_tracked_to(root: Path, uri: str) -> None:
    with pytest.raises(BenchError, match="expected sqlite:///PATH"):
        track(params_of(root), root, uri)
