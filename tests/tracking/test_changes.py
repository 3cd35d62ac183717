import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tracked import RUNS, client, params_of, query, run_track, runs_of, snapshot, write_method

from benchmark.errors import BenchError
from benchmark.tracking import TrackSummary, track

DAP = "DAP, channels"
# The overview, which spans all methods, is not among them.
DAP_WEIGHTS = 1 + 8 + 2


def edit(root: Path, change: Callable[[Any], None]) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    change(content)
    (root / "params.yaml").write_text(yaml.safe_dump(content))


def test_tracking_again_changes_nothing_and_does_not_need_mlflow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_track(root).links
    before = (root / "mlflow.db").read_bytes()
    monkeypatch.setitem(sys.modules, "benchmark.tracking.write", None)
    again = run_track(root)
    assert (again, again.links) == (TrackSummary(), {})
    assert (root / "mlflow.db").read_bytes() == before


def test_a_changed_result_replaces_the_runs_of_its_method_at_that_granularity(root: Path) -> None:
    def better(row: dict[str, Any]) -> dict[str, Any]:
        mine = (row["granularity"], row["budget"], row["seed"], row["weights"]) == ("weight", 0.5, 1, "fresh")
        return {**row, "accuracy": 1.0} if mine else row

    run_track(root)
    old = runs_of(root)
    write_method(root, "dap", better)
    assert run_track(root) == TrackSummary(replaced=DAP_WEIGHTS, unchanged=RUNS - DAP_WEIGHTS)
    new = runs_of(root)
    assert old.keys() == new.keys()
    changed = {name for name in new if new[name].info.run_id != old[name].info.run_id}
    assert changed == {name for name in new if name.startswith("DAP, weights")}
    assert new["DAP, weights, 50 %, fresh, seed 1"].data.metrics["accuracy_finetune_5shot"] == 1.0
    for name in changed - {"DAP, weights"}:
        assert new[name].data.tags["mlflow.parentRunId"] == new["DAP, weights"].info.run_id
    assert run_track(root) == TrackSummary()


def test_runs_of_other_parameters_stay_beside_the_present_ones(root: Path) -> None:
    run_track(root)
    old = runs_of(root)
    edit(root, lambda content: content["methods"]["dap"].update(params={"tau_low": 0.2}))
    dap = [name for name in old if name.startswith("DAP")]
    assert run_track(root) == TrackSummary(created=len(dap), unchanged=RUNS - len(dap), kept=len(dap))
    new, kept = runs_of(root), runs_of(root, "false")
    assert sorted(kept) == sorted(dap)
    assert {name: run.info.run_id for name, run in kept.items()} == {name: old[name].info.run_id for name in dap}
    assert (kept[DAP].data.params["tau_low"], new[DAP].data.params["tau_low"]) == ("0.0", "0.2")
    edit(root, lambda content: content["methods"]["dap"].pop("params"))
    # Back again: the kept runs are the present ones, and nothing is written.
    assert run_track(root) == TrackSummary(unchanged=RUNS, kept=len(dap))
    assert runs_of(root)[DAP].info.run_id == old[DAP].info.run_id


def test_runs_of_others_and_of_methods_that_no_longer_run_stay(root: Path) -> None:
    run_track(root)
    mlflow = client(root)
    own = mlflow.create_run(mlflow.get_experiment_by_name("tiny").experiment_id, run_name="a note of mine").info.run_id
    mlflow.log_text(own, "text", "note.txt")
    mlflow.delete_experiment(mlflow.create_experiment("in the trash"))
    edit(root, lambda content: content["run"].update(methods=["dense", "dap"]))
    assert run_track(root).kept == 18
    assert {run.data.tags["method"] for run in runs_of(root, "false").values()} == {"random"}
    assert runs_of(root, "")["a note of mine"].info.run_id == own
    assert (root / "mlartifacts/tiny" / own / "artifacts/note.txt").read_text() == "text"
    assert mlflow.get_experiment_by_name("in the trash").lifecycle_stage == "deleted"


def test_only_the_suites_that_are_named_are_tracked(root: Path) -> None:
    edit(root, lambda content: content["suites"].update(second=content["suites"]["tiny"]))
    assert track(params_of(root), root, suites=["tiny"]).links.keys() == {"tiny"}
    with pytest.raises(BenchError, match="no results of the suite 'second'"):
        track(params_of(root), root, suites=["second"])


def test_another_database_holds_the_same_runs(bare: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bare, other)
    assert run_track(bare) == run_track(other) == TrackSummary(created=RUNS)
    assert snapshot(bare) == snapshot(other)
    assert not (bare / "mlruns").exists()


def test_what_a_kill_or_a_hand_left_incomplete_is_written_again(root: Path) -> None:
    run_track(root)
    before, runs = snapshot(root), runs_of(root)
    dense = next(name for name, run in runs.items() if run.data.tags.get("method") == "dense" and "seed" in name)
    query(root, f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = '{runs[dense].info.run_id}'")
    client(root).delete_run(runs["DAP, weights, 50 %, fresh, seed 1"].info.run_id)
    shutil.rmtree(root / "mlartifacts/tiny" / runs[DAP].info.run_id)
    replaced = 2 * DAP_WEIGHTS + 1 + 4
    assert run_track(root) == TrackSummary(replaced=replaced, unchanged=RUNS - replaced)
    assert snapshot(root) == before


def kill_while_writing(root: Path) -> None:
    """Leave the database as a kill in the middle of a write does: half of it on disk, with a journal to undo it."""
    files = [root / "mlflow.db", root / "mlflow.db-journal"]
    with closing(sqlite3.connect(files[0], isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM tags")
        left = [file.read_bytes() for file in files]
    for file, content in zip(files, left, strict=True):
        file.write_bytes(content)


def test_a_write_cut_short_is_undone(root: Path) -> None:
    run_track(root)
    before = snapshot(root)
    kill_while_writing(root)
    assert run_track(root) == TrackSummary(unchanged=RUNS)
    assert snapshot(root) == before


def test_the_journal_of_a_removed_database_is_not_applied_to_the_new_one(root: Path) -> None:
    run_track(root)
    kill_while_writing(root)
    # Elsewhere, because this process still has connections to the database here.
    copy = root.parent / f"{root.name}-copy"
    shutil.copytree(root, copy)
    (copy / "mlflow.db").unlink()
    assert run_track(copy) == TrackSummary(created=RUNS)
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]


def test_a_deleted_experiment_is_restored(root: Path) -> None:
    run_track(root)
    before = snapshot(root)
    client(root).delete_experiment(client(root).get_experiment_by_name("tiny").experiment_id)
    run_track(root)
    assert client(root).get_experiment_by_name("tiny").lifecycle_stage == "active"
    assert snapshot(root) == before


def test_a_copied_folder_keeps_its_own_artifacts(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run_track(root)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, copy)
    assert run_track(copy) == TrackSummary(created=RUNS)
    assert snapshot(copy) == snapshot(root)
    assert Path(runs_of(copy)[DAP].info.artifact_uri).is_relative_to(copy)


def test_a_copied_folder_with_runs_of_others_is_not_emptied(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_track(root)
    client(root).create_run(client(root).get_experiment_by_name("tiny").experiment_id)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, copy)
    with pytest.raises(BenchError, match="holds runs of others; rename it"):
        run_track(copy)


def test_one_process_writes(root: Path) -> None:
    (root / "mlartifacts").mkdir()
    handle = os.open(root / "mlartifacts", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(BenchError, match="another `dapbench track` is writing"):
        run_track(root)
    os.close(handle)
    assert run_track(root).created == RUNS


def test_other_suites_without_results_are_passed_over(root: Path) -> None:
    edit(root, lambda content: content["suites"].update(second=content["suites"]["tiny"]))
    assert run_track(root).created == RUNS
    edit(root, lambda content: content["run"].update(suites=["tiny", "second"]))
    with pytest.raises(BenchError, match="no results of the suite 'second'"):
        run_track(root)
