"""What `reproduce` says of recomputed rows beside the committed ones."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.analysis.rows import Row, write_results
from benchmark.pipeline.plan import Plan
from benchmark.pipeline.reproduce import compare

PLAN = cast(Plan, SimpleNamespace(suite="tiny", methods=["uniform"]))


def row(**changes: Any) -> Row:
    place: dict[str, Any] = {"suite": "tiny", "model": "own:mlp", "method": "uniform", "variant": "", "arm": ""}
    place |= {"granularity": "channel", "cost": "params", "budget": 0.5, "seed": 0, "weights": "fresh"}
    place |= {"target": "greek", "shots": 5, "draw": 0, "measure": "nearest", "retraining": 0}
    result: dict[str, Any] = {"complexity": 0.5, "accuracy": 0.25, "source_accuracy": 0.5, "params": 10, "macs": 20}
    result |= {"search_flops": 0, "train_flops": 0, "pretrain_flops": 0}
    keys = {"cell": "", "search_cell": "", "architecture": ""}
    return Row(**(place | result | keys | changes))


COMMITTED = [row(), row(cost="macs"), row(measure="probe"), row(retraining=1), row(seed=1)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The committed file of results, five rows that differ in one part of their place each."""
    path = tmp_path / "reports" / "results" / "tiny" / "uniform.json"
    write_results(path, COMMITTED, {})
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "results"]):
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    return path


def test_rows_of_every_cost_measure_and_retraining_are_compared(results: Path, tmp_path: Path) -> None:
    found = compare(PLAN, tmp_path)
    assert (found.rows, found.committed, found.added, found.changed) == (5, 5, 0, 0)
    write_results(results, [*COMMITTED[:-1], row(seed=1, params=11)], {})
    assert compare(PLAN, tmp_path).changed == 1
    write_results(results, [*COMMITTED[:1], row(cost="macs", params=11), *COMMITTED[2:]], {})
    assert compare(PLAN, tmp_path).changed == 1


def test_rows_that_are_new_or_gone_do_not_differ(results: Path, tmp_path: Path) -> None:
    write_results(results, [*COMMITTED[:-2], row(seed=2), row(variant="one"), row(seed=3)], {})
    found = compare(PLAN, tmp_path)
    assert (found.rows, found.committed, found.added, found.changed) == (6, 5, 3, 0)
    said = "tiny: 0 of 3 rows differ from the committed ones; 3 rows are new; 2 committed rows are gone"
    assert found.text("tiny").startswith(said)


def test_keys_may_change(results: Path, tmp_path: Path) -> None:
    write_results(results, [row(cell="other code"), *COMMITTED[1:]], {})
    assert compare(PLAN, tmp_path).text("tiny") == "tiny: all 5 rows equal the committed ones, bit for bit."
