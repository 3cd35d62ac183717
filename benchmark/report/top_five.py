"""Top-5 accuracies, where a suite asks for them: methods x budgets at the headline's weights mode and shots."""

from benchmark.report import render
from benchmark.report.accuracy_table import DENSE_LEVEL
from benchmark.report.labels import FLOORS, label, percent, percents
from benchmark.report.table import Column, Table, words
from benchmark.report.view import Record, View

FIRST = 5  # classes, as the column says; `benchmark.protocol` has the same, but would bring torch with it
LEGEND = (
    "How often an image's class is among the five that come first, in percent: mean over search seeds ± half width of "
    "the 95 % interval. Not tested; the tests are of Top-1."
)


def markdown(view: View) -> str:
    """Return a Markdown table per target and granularity; empty where there are none."""
    parts = []
    for target, granularity, title in view.parts():
        made = _table(view, target, granularity)
        parts += [f"## {title} pruning", render.markdown(made)] if made.rows else []
    return "\n\n".join(parts)


def _table(view: View, target: str, granularity: str) -> Table:
    weights, shots = view.headline_weights, view.headline_shots
    rows = []
    for entry in view.entries(granularity):
        cells = [view.cell(granularity, *entry, weights, target, budget, shots) for budget in view.budgets]
        if any(_known(cell) for cell in cells):
            rows.append([label(*entry), *map(_known, cells)])
    chance = view.chance(target, shots)
    levels = {
        DENSE_LEVEL: _known(view.dense(granularity, weights, target, shots)),
        **{name: _known(view.floors(target, shots).get(measure)) for measure, name in FLOORS.items()},
        # Exact where every target has five classes or more, which is where Top-5 says something.
        "guessing": None if chance is None else {"top5": min(1.0, FIRST * chance), "top5_half": None},
    }
    columns = [Column(percent(budget), format=_shown) for budget in view.budgets]
    return Table([words("method"), *columns], rows, [(name, one) for name, one in levels.items() if one is not None])


def _known(record: Record | None) -> Record | None:
    return record if record is not None and "top5" in record else None


def _shown(record: Record) -> str:
    return percents(record["top5"], record["top5_half"])
