"""Results of three methods as the pipeline writes them, and what MLflow shows of them."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmark.analysis import SCHEMA
from benchmark.analysis.rows import Row, write_results
from benchmark.config.params import Params, load_params
from benchmark.files import write_json
from benchmark.tracking import TrackSummary, track

START = 1_700_000_000.0
# Per granularity: dap has 2 seeds x 2 budgets x 2 weights, random the same with and without its variant.
CELLS = {"dap": 16, "random": 16, "dense": 4}
PARENTS = {"dap": 2, "random": 1, "dense": 1}
RUNS = 1 + sum(CELLS.values()) + sum(PARENTS.values()) + 1 + 4  # the overview, one variant, dap's four searches
Points = list[tuple[str, float, int, int]]


def write_method(root: Path, method: str, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row) -> None:
    rows, cells, found, traces = [], {}, [], []
    for granularity in ["channel", "weight"] if method == "dap" else ["channel"]:
        for variant in ["", "ratios"] if method == "random" else [""]:
            for seed in (0, 1):
                search = f"search-{method}-{variant}-{granularity}-{seed}"
                cells[search] = {"kind": "search", "started": START + len(cells) * 10, "seconds": 2.5, "peak_mb": 1.0}
                points = [{"step": s, "loss": 2.0 / s, "complexity": 1 / s, "multiplier": None} for s in (1, 2, 4)]
                traces.append({"variant": variant, "granularity": granularity, "seed": seed, "points": points})
                for budget in [1.0] if method == "dense" else [0.5, 0.1]:
                    file = f"artifacts/tiny/search/{method}/{granularity}-{variant}-s{seed}-b{budget}.safetensors"
                    place = {"variant": variant, "granularity": granularity, "seed": seed, "search_cell": search}
                    sizes = {"kept": {"layer": 5}, "sizes": {"layer": 10}}
                    found.append({"budget": budget, "cost": "params", "file": file, **sizes, **place})
                    for weights in ("fresh", "scratch"):
                        cell = f"{method}-{variant}-{granularity}-{seed}-{budget}-{weights}"
                        cells[cell] = {
                            "kind": "transfer",
                            "started": START + len(cells) * 10,
                            "seconds": 4.25,
                            "peak_mb": 1.0,
                        }
                        base = {**place, "suite": "tiny", "model": "own:vgg16", "method": method, "cost": "params"}
                        base |= {
                            "budget": budget,
                            "complexity": budget,
                            "weights": weights,
                            "target": "digits-3-5",
                            "arm": "",
                        }
                        base |= {"source_accuracy": 0.9 if weights == "fresh" else None, "params": 100, "macs": 2000}
                        base |= {
                            "search_flops": 3 * 10**9,
                            "pretrain_flops": 10**9,
                            "cell": cell,
                            "architecture": "d" * 64,
                        }
                        for shots in (1, 5):
                            for draw in (0, 1):
                                row = {**base, "shots": shots, "draw": draw, "train_flops": 10**9 * shots}
                                row["accuracy"] = 0.5 + 0.01 * shots + 0.1 * draw
                                rows.append(Row.model_validate(change(row)))
    folder = root / "reports/results/tiny"
    write_results(folder / f"{method}.json", rows, {})
    write_json(folder / f"{method}.timings.json", {"schema": 1, "cells": cells})
    searches = {"schema": 1, "architectures": found, "traces": traces if method == "dap" else []}
    write_json(folder / f"{method}.search.json", searches)


def write_summary(root: Path, mean: float = 0.7) -> None:
    place = {
        "method": "dap",
        "granularity": "channel",
        "variant": "",
        "weights": "fresh",
        "target": "digits-3-5",
        "shots": 5,
    }
    cells = [
        {**place, "budget": 0.1, "accuracy": mean, "half": 0.05},
        {**place, "budget": 0.5, "accuracy": 0.8, "half": None},
    ]
    areas = [{**place, "accuracy": 0.75, "half": 0.01}]
    summary = {"schema": SCHEMA, "slice": {"cost": "params", "measure": "finetune"}, "cells": cells, "areas": areas}
    write_json(root / "reports/analysis/tiny/summary.json", summary)


def params_of(root: Path) -> Params:
    return load_params(root / "params.yaml")


def run_track(root: Path) -> TrackSummary:
    return track(params_of(root), root)


def client(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def query(root: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        return connection.execute(sql).fetchall()


def runs_of(root: Path, current: str = "true") -> dict[str, Any]:
    """Runs by name, without deleted ones, as MLflow's own client sees them; others have no tag `current`: ""."""
    mlflow = client(root)
    found = mlflow.search_runs([mlflow.get_experiment_by_name("tiny").experiment_id], max_results=5000)
    found = [run for run in found if run.data.tags.get("current", "") == current]
    assert len(found) == len({run.info.run_name for run in found})
    return {run.info.run_name: run for run in found}


def snapshot(root: Path) -> dict[str, Any]:
    """Everything about the current runs but their ids and where MLflow keeps them."""
    runs = runs_of(root)
    keys = {run.info.run_id: key for key, run in runs.items()}
    points: dict[str, Points] = {key: [] for key in runs}
    for run_id, *point in query(root, "SELECT run_uuid, key, value, timestamp, step FROM metrics ORDER BY key, step"):
        if run_id in keys:
            points[keys[run_id]].append(tuple(point))
    seen = {}
    for key, run in runs.items():
        tags = {**run.data.tags, "mlflow.parentRunId": keys.get(run.data.tags.get("mlflow.parentRunId", ""))}
        inputs = sorted((i.dataset.name, i.dataset.digest, i.dataset.profile) for i in run.inputs.dataset_inputs)
        folder = Path(run.info.artifact_uri)
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        times = (run.info.start_time, run.info.end_time, run.info.status)
        seen[key] = (run.info.run_name, times, run.data.params, run.data.metrics, points[key], tags, inputs, files)
    return seen
