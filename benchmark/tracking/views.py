"""Views of an experiment in MLflow's interface: which runs, columns and charts a link opens.

MLflow keeps a shared view as a tag of the experiment, and the address names it. It is how its button "Share" works.
"""

import json
from typing import Any
from urllib.parse import quote

from benchmark.config.params import Params

TAG = "mlflow.sharedViewState."
FIRST = "jobs"


def address(experiment_id: str, view: str = FIRST, port: int = 5000) -> str:
    """Return where a running `make ui` shows a view of an experiment."""
    return f"http://127.0.0.1:{port}/#/experiments/{quote(experiment_id)}/runs?viewStateShareKey={view}"


def views(params: Params, suite: str) -> dict[str, str]:
    """Return the experiment's tags for the views `jobs`, `methods` and `searches`, and for its main metric.

    `jobs` is the grid of default variants at the first granularity, in the mode `fresh` where there is one: accuracy
    against parameters and against MACs, and parallel coordinates. `methods` are the curves over the budget, `searches`
    the courses.
    """
    config = params.suites[suite]
    measure, weights = config.transfer.first_measure, config.transfer.weights
    mode = "fresh" if "fresh" in weights else weights[0]
    most = sorted(
        config.transfer.finetune_shots or config.transfer.shots if measure == "finetune" else config.transfer.shots
    )
    shots = 5 if 5 in most else most[-1]
    accuracy = f"accuracy_{measure}_{shots}shot"
    now = 'tags.current = "true"'
    # The page loads a hundred runs at first: as few as answer the question, so that few are left out.
    grid = f'params.granularity = "{config.grid.granularities[0]}" and tags.variant = "" and tags.arm = ""'
    scatters = [_scatter(f"log10_{cost}", accuracy) for cost in ("params", "macs")]
    parallel = {
        **_chart("PARALLEL", "coordinates"),
        "selectedParams": ["method", *["granularity"] * (len(config.grid.granularities) > 1)],
        "selectedMetrics": ["log10_params", "log10_macs", "train_gflops", accuracy],
        "showAllRuns": False,
    }
    curve = f"{mode}_{measure}_{shots}shot"
    lines = [
        {**_line(f"{curve}/mean"), "xAxisScaleType": "log"},
        {**_chart("BAR", "area"), "metricKey": f"{curve}/area"},
    ]
    courses = [_line(f"search/{name}") for name in ("loss", "complexity", "undecided")]
    columns = ["params.method", "params.granularity", "params.budget", "params.seed"]
    states = {
        "jobs": _state(
            f'tags.kind = "job" and params.weights = "{mode}" and {grid} and {now}',
            [*columns, f"metrics.{accuracy}", "metrics.complexity", "metrics.params", "metrics.macs"],
            [*scatters, parallel],
            f"metrics.{accuracy}",
        ),
        "methods": _state(f'tags.kind = "method" and {now}', [*columns[:2], f"metrics.{curve}/area"], lines),
        "searches": _state(f'tags.kind = "search" and {now}', [*columns[:2], columns[3]], courses),
    }
    tags = {f"{TAG}{name}": json.dumps(state) for name, state in states.items()}
    return {**tags, "mlflow.experiment.primaryMetric.name": accuracy}


def _state(search: str, columns: list[str], charts: list[dict[str, Any]], order: str = "") -> dict[str, Any]:
    names = [column.partition(".") for column in columns]
    state = {
        "searchFilter": search,
        "selectedColumns": [f"{kind}.`{name}`" for kind, _, name in names],
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": [{"uuid": "comparison", "name": "Comparison", "display": True, "isReordered": False}],
    }
    kind, _, name = order.partition(".")
    return state | ({"orderByKey": f"{kind}.`{name}`", "orderByAsc": False} if order else {})


def _chart(kind: str, name: str) -> dict[str, Any]:
    section = {"metricSectionId": "comparison", "deleted": False, "isGenerated": False}
    return {"type": kind, "uuid": f"{kind.lower()}-{name}", "runsCountToCompare": 10, **section}


def _line(metric: str) -> dict[str, Any]:
    axes: dict[str, Any] = {"lineSmoothness": 0, "xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear"}
    return {
        **_chart("LINE", metric),
        **axes,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "displayPoints": True,
    }


def _scatter(across: str, up: str) -> dict[str, Any]:
    axes = {axis: {"key": key, "type": "METRIC"} for axis, key in (("xaxis", across), ("yaxis", up))}
    return {**_chart("SCATTER", across), **axes}
