"""How an analysis is written: the summary, the metrics that DVC shows and the table that it plots."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from benchmark.protocol.controls import DENSE


def lines(summary: dict[str, Any]) -> bytes:
    """Write compact JSON with one record per line, so that git shows which cell changed."""

    def compact(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)

    parts = []
    for key, value in summary.items():
        text = compact(value)
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(map(compact, value)) + "\n]"
        parts.append(f"{compact(key)}:{text}")
    return ("{" + ",\n".join(parts) + "}\n").encode()


def metrics(summary: dict[str, Any]) -> dict[str, Any]:
    """Return target -> granularity -> dense accuracy, and area and small area per method.

    Of default variants, at the headline's weights and shots.
    """
    headline = summary["headline"]
    values: dict[str, Any] = {}
    for kind, name in (("cells", ""), ("areas", "area"), ("small_areas", "small_area")):
        for record in summary[kind]:
            if (record["weights"], record["shots"]) != (headline["weights"], headline["shots"]) or record["variant"]:
                continue
            part = values.setdefault(record["target"], {}).setdefault(record["granularity"], {})
            if name:
                part.setdefault(name, {})[record["method"]] = record["accuracy"]
            elif record["method"] == DENSE:
                part["dense_accuracy"] = record["accuracy"]
    return values


def plot_data(summary: dict[str, Any]) -> bytes:
    """Return the table that `dvc plots` draws: mean accuracy against mean complexity; method+variant in one column."""
    fields = ("granularity", "target", "shots", "weights", "complexity", "accuracy")
    cells = summary["cells"]
    names = ["+".join(filter(None, (cell["method"], cell["variant"]))) for cell in cells]
    rows = [[name, *(cell[field] for field in fields)] for name, cell in zip(names, cells, strict=True)]
    return csv_text(["method", *fields], rows).encode()


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV; None is an empty field."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
    return text.getvalue()
