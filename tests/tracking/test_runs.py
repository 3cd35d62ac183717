import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tracked import RUNS, query, run_track, runs_of, snapshot, write_method

from benchmark.analysis.groups import OVERALL
from benchmark.tracking import TrackSummary


def test_runs_show_the_results(root: Path) -> None:
    assert run_track(root) == TrackSummary(created=RUNS)
    runs = runs_of(root)
    kinds = Counter(run.data.tags["kind"] for run in runs.values())
    assert kinds == {"suite": 1, "method": 5, "cell": 36, "search": 4}
    parent, child = runs["tiny/dap/channel"], runs["tiny/dap/channel/0.1/s1/fresh"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "mlflow.parentRunId" not in parent.data.tags
    assert child.info.run_name == "dap channel 10% s1 fresh"
    assert child.data.params == {
        "method": "dap",
        "granularity": "channel",
        "budget": "0.1",
        "weights": "fresh",
        "seed": "1",
    }
    metrics = {
        "accuracy_1shot": 0.56,
        "accuracy_5shot": 0.6,
        "source_accuracy": 0.9,
        "complexity": 0.1,
        "params": 100.0,
    }
    metrics |= {"log10_complexity": -1.0, "macs": 2000.0, "search_gflops": 3.0, "train_gflops": 3.0}
    assert child.data.metrics == pytest.approx(metrics)
    assert child.data.tags["cell"] == "dap--channel-1-0.1-fresh"
    assert "source_accuracy" not in runs["tiny/dap/channel/0.1/s1/scratch"].data.metrics
    variant = runs["tiny/random+ratios/channel/0.5/s0/fresh"]
    assert (variant.data.params["method"], variant.data.tags["method"]) == ("random+ratios", "random")


def test_accuracies_are_averaged_over_draws_then_targets(root: Path) -> None:
    def second_target(row: dict[str, Any]) -> dict[str, Any]:
        other = {"target": "other", "accuracy": 0.2, "draw": 0}
        return {**row, **other} if row["draw"] == 1 else row

    write_method(root, "dense", second_target)
    run_track(root)
    metrics = runs_of(root)["tiny/dense/channel/1.0/s0/fresh"].data.metrics
    assert metrics["accuracy_1shot_digits-3-5"] == pytest.approx(0.51)
    assert metrics["accuracy_1shot_other"] == pytest.approx(0.2)
    assert metrics["accuracy_1shot"] == pytest.approx(0.355)


def test_times_are_those_of_the_cells(root: Path) -> None:
    run_track(root)
    timings = json.loads((root / "reports/results/tiny/dap.timings.json").read_text())["cells"]
    runs = runs_of(root)

    def span(key: str) -> tuple[float, float]:
        return runs[key].info.start_time / 1000, runs[key].info.end_time / 1000

    started = timings["dap--weight-0-0.5-fresh"]["started"]
    assert span("tiny/dap/weight/0.5/s0/fresh") == (started, started + 4.25)
    started = timings["search-dap--weight-1"]["started"]
    assert span("tiny/dap/weight/search/s1") == (started, started + 2.5)
    weight = [t for key, t in timings.items() if "weight" in key]
    assert span("tiny/dap/weight") == (min(t["started"] for t in weight), max(t["started"] for t in weight) + 4.25)
    stamps = query(root, "SELECT DISTINCT m.timestamp - r.end_time FROM metrics m JOIN runs r USING (run_uuid)")
    assert stamps == [(0,)]


def test_parents_carry_means_files_and_data_sets(root: Path) -> None:
    file = root / "artifacts/tiny/search/dap/channel--s0-b0.1.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"masks")
    run_track(root)
    *_, points, _, inputs, files = snapshot(root)["tiny/dap/channel"]
    curve = [(key, value, step) for key, value, _, step in points]
    assert curve == [
        ("fresh_5shot/area", 0.75, 0),
        ("fresh_5shot/high", 0.75, 1000),
        ("fresh_5shot/low", 0.65, 1000),
        ("fresh_5shot/mean", 0.7, 1000),
        ("fresh_5shot/mean", 0.8, 5000),
    ]
    assert files == {
        "dap.json": (root / "reports/results/tiny/dap.json").read_bytes(),
        "architectures/channel--s0-b0.1.safetensors": b"masks",
    }
    assert [(label, digest) for label, digest, _ in inputs] == [("digits", "a" * 36), ("digits-3-5", "b" * 36)]
    assert snapshot(root)["tiny"][-1] == {"figures/accuracy.svg": b"<svg/>"}


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
    points = snapshot(root)["tiny/dap/channel"][4]
    assert [(key, value) for key, value, *_ in points] == [
        ("fresh_5shot/area", 0.6),
        ("fresh_5shot_digits-3-5/area", 0.75),
        ("fresh_5shot_other/area", 0.5),
    ]


def test_the_course_of_a_search_has_steps_and_leaves_out_what_is_undefined(root: Path) -> None:
    run_track(root)
    points = [(key, value, step) for key, value, _, step in snapshot(root)["tiny/dap/channel/search/s0"][4]]
    complexity = [("search/complexity", 1.0, 1), ("search/complexity", 0.5, 2), ("search/complexity", 0.25, 4)]
    assert points == [*complexity, ("search/loss", 2.0, 1), ("search/loss", 1.0, 2), ("search/loss", 0.5, 4)]
