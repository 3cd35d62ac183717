"""Methods whose rows others computed, in tables of their own and marked so."""

from dataclasses import replace

from benchmark.report import render
from benchmark.report.accuracy_table import AccuracyTable, headline_tables
from benchmark.report.labels import listing
from benchmark.report.view import Record, View

MARK = "(contributed)"


def tables(view: View) -> list[tuple[str, AccuracyTable]]:
    """Return title and table per part of the headline; none where nobody contributed anything."""
    shown = _own_view(view)
    if shown is None:
        return []
    return [
        (f"{title}, contributed", _marked(table)) for title, table in headline_tables(shown, shown.shown_targets, True)
    ]


def note(view: View) -> str:
    """Say whose results these are and what they are not."""
    found = _contributions(view)
    if not found:
        return ""
    whose = listing([f"{one['method']} from {one['package']}, on {one['processor']}" for one in found])
    return (
        f"Computed by others: {whose}. Sizes were counted again from the architectures. Another processor rounds "
        "otherwise, so these rows are neither paired with the others nor tested nor ranked."
    )


def text(view: View) -> str:
    """Return the tables and their note in Markdown."""
    parts = [part for title, table in tables(view) for part in (f"### {title}", render.markdown(table.table))]
    return "\n\n".join([*parts, note(view)]) if parts else ""


def _contributions(view: View) -> list[Record]:
    found: list[Record] = view.summary.get("contributed", [])
    return found


def _own_view(view: View) -> View | None:
    """The same suite with the contributed methods alone, and nothing that they would be compared with."""
    found = _contributions(view)
    cells = [cell for one in found for cell in one["cells"]]
    if not cells:
        return None
    variants: dict[str, dict[str, list[str]]] = {one["method"]: {g: [] for g in view.granularities} for one in found}
    for cell in cells:
        known = variants[cell["method"]][cell["granularity"]]
        known.extend([cell["variant"]] if cell["variant"] not in known else [])
    methods = [{"method": method, "variants": own} for method, own in variants.items()]
    content = {"cells": cells, "areas": [area for one in found for area in one["areas"]]}
    nothing: Record = {"tests": [], "floors": [], "data": {}, "studies": []}
    return View(view.summary | content | nothing | {"axes": view.summary["axes"] | {"methods": methods}})


def _marked(table: AccuracyTable) -> AccuracyTable:
    rows = [
        replace(
            row, method=f"{row.method} {MARK}", entries=[entry and replace(entry, mark="") for entry in row.entries]
        )
        for row in table.rows
    ]
    return replace(table, rows=rows)
