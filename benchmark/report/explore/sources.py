"""The data of every static figure: which cells or layers it shows, or rows of its own."""

from collections.abc import Sequence
from typing import Any

from benchmark.analysis.conventions import REFERENCE
from benchmark.report import controls, studies
from benchmark.report.explore.columns import columns
from benchmark.report.view import Record, View


def sources(view: View, traces: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Return, by figure, {"of": "cells" or "layers", "where": field -> value}, or {"of": "rows", "rows": columns}.

    The rows of the first kind are those of the main slice that have these values. `traces` as in METHOD.search.json.
    """
    default = {"variant": "", "weights": view.headline_weights}
    place = {"target": view.headline_target, "shots": view.headline_shots}
    found = {
        "accuracy": _cells(default | (place if view.several else {})),
        "costs": _cells(default | place),
        "compute": _cells(default | place),
        "variants": _cells(place | {"weights": view.headline_weights}),
        "weights": _cells(place | {"variant": ""}),
    }
    for index, granularity in enumerate(view.granularities):
        here = {"granularity": granularity}
        ending = f"-{granularity}" if index else ""
        found[f"accuracy-{granularity}"] = _cells(default | here)
        found[f"architectures{ending}"] = {"of": "layers", "where": {"variant": ""} | here}
        found[f"dynamics{ending}"] = _rows(_steps(view, traces, granularity))
    found["primary"] = _rows(view.summary["primary"])
    found["arms"] = _rows(controls.records(view))
    return found | {f"study-{name}": _rows(studies.records(view, name)) for name in studies.names(view)}


def _cells(where: dict[str, Any]) -> dict[str, Any]:
    return {"of": "cells", "where": where}


def _rows(records: Sequence[Record]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for record in records for name in record))
    full = [{name: record.get(name) for name in names} for record in records]
    return {"of": "rows", "rows": columns(full, names)}


def _steps(view: View, traces: Sequence[Record], granularity: str) -> list[Record]:
    shown = view.all_variants(REFERENCE, studied=False)
    return [
        {"variant": trace["variant"], "seed": trace["seed"], **point}
        for trace in traces
        if trace["granularity"] == granularity and trace["variant"] in shown
        for point in trace["points"]
    ]
