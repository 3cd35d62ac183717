"""How far the dense control is from one trained on the source for twice as long."""

from benchmark.analysis.doubled_training import SOURCE
from benchmark.analysis.groups import OVERALL
from benchmark.report import render
from benchmark.report.labels import percents, points
from benchmark.report.table import Column, Table, differences, words
from benchmark.report.view import Record, View

LEGEND = (
    "Accuracy of the dense control with fresh weights, in percent: trained on the source as everything else is, and "
    "for twice as many steps. The difference is in percentage points, paired by search seed, ± half width of its 95 % "
    "interval."
)


def sentence(view: View) -> str:
    """Say what twice the training on the source would give the dense control; empty where it was not tried."""
    records = view.summary["twice"]
    where = (view.headline_target, view.headline_shots)
    found = [r for r in records if r["on"] == SOURCE] + [r for r in records if (r["target"], r["shots"]) == where]
    if not found:
        return ""
    parts = [f"{points(r['difference'], r['half'])} points {_place(view, r)}" for r in found]
    return (
        "Trained on the source for twice as many steps, the dense control changes by "
        f"{' and by '.join(parts)} (± half width of the 95 % interval of the difference, paired by search seed)."
    )


def markdown(view: View) -> str:
    """Return the differences as a Markdown table; empty where there are none."""
    records = view.summary["twice"]
    levels = [Column(head, format=percents) for head in ("dense", "trained twice as long")]
    rows = [
        ["source, test part" if r["on"] == SOURCE else r["target"], r["shots"], r["dense"], r["twice"], r]
        for r in records
    ]
    found = Table([words("on"), Column("shots"), *levels, differences("difference")], rows)
    return render.markdown(found) if records else ""


def _place(view: View, record: Record) -> str:
    if record["on"] == SOURCE:
        return "on the source"
    shots = f"at {view.headline_shots} shots per class"
    return f"on average over the targets {shots}" if record["target"] == OVERALL else f"on the target {shots}"
