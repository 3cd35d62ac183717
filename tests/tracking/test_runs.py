import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tracked import RUNS, query, run_track, runs_of, snapshot, write_method

from benchmark.analysis.groups import OVERALL
from benchmark.tracking import TrackSummary

OVERVIEW = "Handwritten digits, 0-2 to 3-5, in seconds"


def test_runs_show_the_results(root: Path) -> None:
    assert run_track(root) == TrackSummary(created=RUNS)
    runs = runs_of(root)
    kinds = Counter(run.data.tags["kind"] for run in runs.values())
    assert kinds == {"suite": 1, "method": 5, "job": 36, "search": 4}
    parent, child = runs["DAP, channels"], runs["DAP, channels, 10 %, fresh, seed 1"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "mlflow.parentRunId" not in parent.data.tags
    place = {"method": "dap", "granularity": "channel", "cost": "params", "budget": "0.1", "weights": "fresh"}
    assert child.data.params.items() >= {**place, "seed": "1"}.items()
    metrics = {
        "accuracy_finetune_1shot": 0.56,
        "accuracy_finetune_5shot": 0.6,
        "source_accuracy": 0.9,
        "complexity": 0.1,
        "params": 100.0,
        "macs": 2000.0,
    }
    metrics |= {"log10_params": 2.0, "log10_macs": 3.30103, "search_gflops": 3.0, "train_gflops": 3.0}
    assert child.data.metrics == pytest.approx(metrics)
    assert child.data.tags["cell"] == "dap--channel-1-0.1-fresh"
    assert "source_accuracy" not in runs["DAP, channels, 10 %, scratch, seed 1"].data.metrics
    (variant,) = [run for name, run in runs.items() if name.endswith("(ratios), channels, 50 %, fresh, seed 0")]
    assert (variant.data.params["method"], variant.data.tags["method"]) == ("random+ratios", "random")


def test_every_parameter_that_has_an_effect_is_shown_also_where_the_default_holds(root: Path) -> None:
    run_track(root)
    runs = runs_of(root)
    dap, dense = runs["DAP, channels"].data.params, runs["dense, channels"].data.params
    assert (dap["tau_low"], dap["training.lr"], dap["transfer.finetune.steps"]) == ("0.0", "0.05", "4")
    assert dap["model.name"] == "own:vgg16"
    assert "tau_low" not in dense
    job = runs["DAP, channels, 10 %, fresh, seed 1"].data
    assert dap.items() <= job.params.items()
    assert job.tags["parameters"] == runs["DAP, channels"].data.tags["parameters"]


def test_accuracies_are_averaged_over_draws_then_targets(root: Path) -> None:
    def second_target(row: dict[str, Any]) -> dict[str, Any]:
        other = {"target": "other", "accuracy": 0.2, "draw": 0}
        return {**row, **other} if row["draw"] == 1 else row

    write_method(root, "dense", second_target)
    run_track(root)
    metrics = runs_of(root)["dense, channels, 100 %, fresh, seed 0"].data.metrics
    assert metrics["accuracy_finetune_1shot_digits-3-5"] == pytest.approx(0.51)
    assert metrics["accuracy_finetune_1shot_other"] == pytest.approx(0.2)
    assert metrics["accuracy_finetune_1shot"] == pytest.approx(0.355)


def test_times_are_those_of_the_jobs(root: Path) -> None:
    run_track(root)
    timings = json.loads((root / "reports/results/tiny/dap.timings.json").read_text())["cells"]
    runs = runs_of(root)

    def span(name: str) -> tuple[float, float]:
        return runs[name].info.start_time / 1000, runs[name].info.end_time / 1000

    started = timings["dap--weight-0-0.5-fresh"]["started"]
    assert span("DAP, weights, 50 %, fresh, seed 0") == (started, started + 4.25)
    started = timings["search-dap--weight-1"]["started"]
    assert span("DAP, weights, search, seed 1") == (started, started + 2.5)
    weight = [t for key, t in timings.items() if "weight" in key]
    assert span("DAP, weights") == (min(t["started"] for t in weight), max(t["started"] for t in weight) + 4.25)
    stamps = query(root, "SELECT DISTINCT m.timestamp - r.end_time FROM metrics m JOIN runs r USING (run_uuid)")
    assert stamps == [(0,)]


def test_parents_carry_means_files_and_data_sets(root: Path) -> None:
    file = root / "artifacts/tiny/search/dap/channel--s0-b0.1.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"masks")
    run_track(root)
    *_, points, _, inputs, files = snapshot(root)["DAP, channels"]
    curve = [(key, value, step) for key, value, _, step in points]
    assert curve == [
        ("fresh_finetune_5shot/area", 0.75, 0),
        ("fresh_finetune_5shot/high", 0.75, 1000),
        ("fresh_finetune_5shot/low", 0.65, 1000),
        ("fresh_finetune_5shot/mean", 0.7, 1000),
        ("fresh_finetune_5shot/mean", 0.8, 5000),
    ]
    assert files["architectures/channel--s0-b0.1.safetensors"] == b"masks"
    rows = list(csv.DictReader(io.StringIO(files["rows.csv"].decode())))
    stored = json.loads((root / "reports/results/tiny/dap.json").read_text())["rows"]
    assert len(rows) == len(stored) / 2
    assert {(row["method"], row["granularity"]) for row in rows} == {("dap", "channel")}
    assert [(label, digest) for label, digest, _ in inputs] == [("digits", "a" * 36), ("digits-3-5", "b" * 36)]
    assert snapshot(root)[OVERVIEW][-1] == {"figures/accuracy.svg": b"<svg/>"}


def test_a_curve_names_its_target_where_there_are_several_but_not_their_mean(root: Path) -> None:
    path = root / "reports/analysis/tiny/summary.json"
    summary = json.loads(path.read_text())
    (area,) = summary["areas"]
    summary["areas"] += [
        {**area, "target": target, "accuracy": value} for target, value in (("other", 0.5), (OVERALL, 0.6))
    ]
    summary["cells"] = []
    path.write_text(json.dumps(summary))
    run_track(root)
    points = snapshot(root)["DAP, channels"][4]
    assert [(key, value) for key, value, *_ in points] == [
        ("fresh_finetune_5shot/area", 0.6),
        ("fresh_finetune_5shot_digits-3-5/area", 0.75),
        ("fresh_finetune_5shot_other/area", 0.5),
    ]


def test_the_course_of_a_search_has_steps_and_leaves_out_what_is_undefined(root: Path) -> None:
    run_track(root)
    points = [(key, value, step) for key, value, _, step in snapshot(root)["DAP, channels, search, seed 0"][4]]
    complexity = [("search/complexity", 1.0, 1), ("search/complexity", 0.5, 2), ("search/complexity", 0.25, 4)]
    assert points == [*complexity, ("search/loss", 2.0, 1), ("search/loss", 1.0, 2), ("search/loss", 0.5, 4)]
