import fcntl
import os
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tracked import RUNS, client, query, run_track, runs_of, snapshot, write_method

from benchmark.errors import BenchError
from benchmark.tracking import TrackSummary
from benchmark.tracking.changes import compare
from benchmark.tracking.record import ExperimentRecord, RunRecord
from benchmark.tracking.stored import StoredExperiment, StoredRun


def test_tracking_again_changes_nothing_and_does_not_need_mlflow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_track(root)
    before = (root / "mlflow.db").read_bytes()
    monkeypatch.setitem(sys.modules, "benchmark.tracking.write", None)
    assert run_track(root) == TrackSummary(unchanged=RUNS)
    assert (root / "mlflow.db").read_bytes() == before


def test_a_changed_result_replaces_its_run_and_the_parents_that_hold_the_file(root: Path) -> None:
    def better(row: dict[str, Any]) -> dict[str, Any]:
        mine = (row["granularity"], row["budget"], row["seed"], row["weights"]) == ("weight", 0.5, 1, "fresh")
        return {**row, "accuracy": 1.0} if mine else row

    run_track(root)
    old = runs_of(root)
    write_method(root, "dap", better)
    assert run_track(root) == TrackSummary(replaced=3, unchanged=RUNS - 3)
    new = runs_of(root)
    changed = {key for key in new if new[key].info.run_id != old[key].info.run_id}
    assert changed == {"tiny/dap/channel", "tiny/dap/weight", "tiny/dap/weight/0.5/s1/fresh"}
    assert new["tiny/dap/weight/0.5/s1/fresh"].data.metrics["accuracy_5shot"] == 1.0
    for key, run in new.items():
        if key.startswith("tiny/dap/weight/"):
            assert run.data.tags["mlflow.parentRunId"] == new["tiny/dap/weight"].info.run_id
    gone = old["tiny/dap/weight"].info.run_id
    for table in ("runs", "metrics", "latest_metrics", "params", "tags"):
        assert query(root, f"SELECT count(*) FROM {table} WHERE run_uuid = '{gone}'") == [(0,)]
    assert not (root / "mlartifacts/tiny" / gone).exists()
    doubled = "SELECT count(*) FROM metrics GROUP BY run_uuid, key, step HAVING count(*) > 1"
    assert query(root, doubled) == []
    assert run_track(root) == TrackSummary(unchanged=RUNS)


def test_runs_without_a_result_are_removed_and_runs_of_others_stay(root: Path) -> None:
    run_track(root)
    mlflow = client(root)
    own = mlflow.create_run(mlflow.get_experiment_by_name("tiny").experiment_id, run_name="a note of mine").info.run_id
    mlflow.log_text(own, "text", "note.txt")
    mlflow.delete_experiment(mlflow.create_experiment("in the trash"))
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["run"]["methods"] = ["dense", "dap"]
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    summary = run_track(root)
    # Nothing but the overview depends on another method: it spans all of them.
    assert (summary.deleted, summary.created) == (18, 0)
    runs = runs_of(root)
    assert not [key for key in runs if key and "random" in key]
    assert runs[None].info.run_id == own
    assert (root / "mlartifacts/tiny" / own / "artifacts/note.txt").read_text() == "text"
    assert mlflow.get_experiment_by_name("in the trash").lifecycle_stage == "deleted"


def test_a_new_database_holds_the_same_runs(bare: Path) -> None:
    assert run_track(bare) == TrackSummary(created=RUNS)
    before = snapshot(bare)
    (bare / "mlflow.db").unlink()
    assert run_track(bare) == TrackSummary(created=RUNS)
    assert snapshot(bare) == before
    folders = {path.name for path in (bare / "mlartifacts/tiny").iterdir()}
    assert folders == {runs_of(bare)[key].info.run_id for key, run in before.items() if run[-1]}
    assert not (bare / "mlruns").exists()


def test_what_a_kill_or_a_hand_left_incomplete_is_written_again(root: Path) -> None:
    run_track(root)
    before, runs = snapshot(root), runs_of(root)
    query(
        root,
        f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = '{runs['tiny/dense/channel/1.0/s0/fresh'].info.run_id}'",
    )
    client(root).delete_run(runs["tiny/dense/channel/1.0/s1/fresh"].info.run_id)
    shutil.rmtree(root / "mlartifacts/tiny" / runs["tiny/dense/channel"].info.run_id)
    assert run_track(root) == TrackSummary(replaced=3, unchanged=RUNS - 3)
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
    kill_while_writing(root)
    assert run_track(root) == TrackSummary(unchanged=RUNS)


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
    assert Path(runs_of(copy)["tiny"].info.artifact_uri).is_relative_to(copy)


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
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["suites"]["second"] = content["suites"]["tiny"]
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    assert run_track(root).created == RUNS
    content["run"]["suites"] = ["tiny", "second"]
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(BenchError, match="no results of the suite 'second'"):
        run_track(root)


keys = st.sampled_from("abcdef")
stored_runs = st.lists(st.tuples(keys, st.booleans(), st.booleans()), max_size=8)


@given(wanted=st.sets(keys), stored=stored_runs)
def test_changes_lead_to_exactly_the_wanted_runs(wanted: set[str], stored: list[tuple[str, bool, bool]]) -> None:
    records = tuple(RunRecord(key=key, name=key, started=1, ended=2) for key in sorted(wanted))
    hashes = {record.key: record.content_hash for record in records}
    runs = [
        StoredRun(str(index), key, hashes.get(key, "") if same else "old", None, finished)
        for index, (key, same, finished) in enumerate(stored)
    ]
    experiment = StoredExperiment("1", "/nowhere", True, {}, tuple(runs), ())
    changes = compare(ExperimentRecord("x", "", records), {}, experiment)
    left = Counter(run.key for run in runs if run.run_id not in changes.remove)
    assert left + Counter(record.key for record in changes.write) == Counter(wanted)
    good = {key for key, same, finished in stored if same and finished}
    assert {record.key for record in changes.write} == wanted - good
    assert changes.replaced == len((wanted - good) & {key for key, *_ in stored})
