"""What the arms of default variants say: their questions, tables and verdicts."""

from typing import Any

from benchmark.protocol.controls import COMPARED
from benchmark.report import render
from benchmark.report.labels import label, percent, percents
from benchmark.report.table import Column, Table, differences, p_values, words
from benchmark.report.view import Record, View

QUESTIONS = {
    "shuffled": (
        "the units of every architecture are permuted within each layer. Is it the choice of units, or only how many "
        "each layer keeps? Channels of a layer are exchangeable once their weights are drawn anew: there the arm is "
        "the grid itself, by construction"
    ),
    "inverted": "the units that the search ranks lowest are kept. Does its ranking say anything?",
    "labels": (
        "the search, and the pretraining it uses, see a source with permuted labels; retraining sees the true ones. "
        "Does the search learn from the task?"
    ),
    "flops": (
        "the source training of an architecture costs as many operations as the large model's, but no more than "
        "a fixed multiple of the usual steps. Do equal numbers of steps put small networks at a disadvantage?"
    ),
}
HOLM = "Holm's correction over all rows of the same granularity and arm, areas apart."
_COLUMNS = [
    words("method", label),
    Column("budget", format=lambda budget: percent(budget) if budget else "area"),
    Column("grid", format=percents),
    Column("arm", format=percents),
    differences("arm minus grid"),
    p_values(),
]


def records(view: View) -> list[Record]:
    """Return the comparisons of the summary; none for a suite without these arms."""
    found: list[Record] = view.summary.get("arms", [])
    return found


def names(view: View) -> list[str]:
    """Return the arms that have records, in the order in which they are explained."""
    present = {record["arm"] for record in records(view)}
    return [arm for arm in COMPARED if arm in present]


def questions(view: View) -> list[str]:
    """Return what each arm of the suite asks, a sentence per arm."""
    return [f"Arm {arm}: {QUESTIONS[arm]}{'' if QUESTIONS[arm].endswith('?') else '.'}" for arm in names(view)]


def areas(view: View, granularity: str, arm: str) -> list[Record]:
    """Return the differences of areas of an arm at a granularity, in the order of the methods."""
    found = {r["method"]: r for r in records(view) if _place(r) == (granularity, arm) and r["measure"] == "area"}
    return [found[method] for method in view.methods if method in found]


def legend(view: View) -> str:
    """Say what the table is about."""
    return (
        f"Default variants with fresh weights, {view.setting}, in percent; differences in percentage points, paired by "
        f"search seed, ± half width of the 95 % interval. {HOLM} A verdict is read from the interval of the difference "
        "of areas: where it contains zero, nothing is shown, which is not the same as no difference."
    )


def markdown(view: View) -> str:
    """Return the verdicts, then every comparison, as Markdown; empty where there are none."""
    if not records(view):
        return ""
    parts = [
        "\n".join(f"- {question}" for question in questions(view)),
        "## Verdicts",
        render.markdown(_verdicts(view)),
    ]
    for granularity in view.granularities:
        for arm in names(view):
            found = [r for r in records(view) if _place(r) == (granularity, arm)]
            found.sort(key=lambda r: (view.methods.index(r["method"]), -(r["budget"] or 0)))
            if found:
                parts += [
                    f"## {arm}, {granularity} pruning",
                    render.markdown(Table(_COLUMNS, list(map(_values, found)))),
                ]
    return "\n\n".join(parts)


def _verdicts(view: View) -> Table:
    rows = []
    for granularity in view.granularities:
        found = {arm: {r["method"]: r["verdict"] for r in areas(view, granularity, arm)} for arm in names(view)}
        for method in view.methods:
            said = [found[arm].get(method) for arm in names(view)]
            if any(method in by for by in found.values()):
                rows.append([granularity, method, *said])
    return Table([words("pruning"), words("method", label), *map(words, names(view))], rows)


def _values(record: Record) -> list[Any]:
    levels = (record["in_grid"], record["in_arm"])
    return [record["method"], record["budget"] or 0.0, *levels, record, record]


def _place(record: Record) -> tuple[str, str]:
    return record["granularity"], record["arm"]
