"""The results block of README.md: the headline suite's figure and table, and the areas of the other suites."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.analysis import read_summary
from benchmark.config.params import Params, load_params
from benchmark.report import doubled_training, render, verdict
from benchmark.report.accuracy_table import LEGEND, accuracies, headline_tables
from benchmark.report.blocks import holds, marks, put
from benchmark.report.labels import COSTS, label, plural
from benchmark.report.suites import in_order
from benchmark.report.table import Cell, Table, words
from benchmark.report.view import View

BLOCK = "results"
BEGIN, END = marks(BLOCK)


def render_block(summary: dict[str, Any], others: Sequence[dict[str, Any]] = ()) -> str:
    """Return the Markdown between the markers, from the headline suite's summary and those of the `others`.

    Figure, a table of default variants per granularity, links; then the headline areas of every other suite. A headline
    that breaks a rule of the audit has the broken rules in the place of its figure and tables.
    """
    view = View(summary)
    if verdict.broken_rules(view):
        return "\n\n".join([*_no_headline(view), *_others([View(other) for other in others])])
    parts = [
        f"![{summary['title']}: transfer accuracy against complexity](reports/figures/{view.suite}/accuracy.png)",
        f"**{summary['title']}**: {view.measured}, {_setting(view)}; "
        f"columns are the share of {COSTS[view.cost]} that a method may keep.",
    ]
    for title, made in headline_tables(view, [view.headline_target], with_variants=False):
        parts += [f"*{title}*", render.markdown(made.table)]
    more = "Variants, every target and all shots" if view.several else "Variants and all shots"
    tables = f"[reports/tables/{view.suite}](reports/tables/{view.suite}/main.md)"
    parts.append(" ".join(filter(None, [LEGEND, doubled_training.sentence(view), f"{more}: {tables}."])))
    return "\n\n".join([*parts, *_others([View(other) for other in others])])


def _no_headline(view: View) -> list[str]:
    """What stands in the place of a headline that breaks a rule: which rule, and where its numbers are."""
    link = f"[reports/tables/{view.suite}](reports/tables/{view.suite}/verdict.md)"
    return [
        f"**{view.summary['title']}** is no headline: it breaks rules of the protocol. Its numbers are in {link}.",
        "\n".join(f"- {line}" for line in verdict.broken_rules(view)),
    ]


def _others(views: Sequence[View]) -> list[str]:
    """The areas of suites, a line per granularity and a column per method, with the setting of each suite below."""
    if not views:
        return []
    methods = list(dict.fromkeys(method for view in views for method in view.methods))
    rows, notes = [], []
    for view in views:
        suite = Cell(view.summary["title"], link=f"reports/tables/{view.suite}/main.md")
        for _, found in headline_tables(view, [view.headline_target], with_variants=False):
            areas = {row.method: row.entries[-1] for row in found.rows}
            rows.append([suite, found.granularity, *map(areas.get, methods)])
        notes.append(f"{view.summary['title']}: {view.measured}, {_setting(view)}.")
    columns = [words("suite", lambda cell: cell), words("pruning"), *(accuracies(label(method)) for method in methods)]
    return ["*The other suites: areas*", render.markdown(Table(columns, rows)), " ".join(notes)]


def _setting(view: View) -> str:
    shots, seeds = plural(view.headline_shots, "shot"), plural(len(view.seeds), "search seed")
    few = " (means only: too few for intervals and tests)" if view.too_few else ""
    return f"weights mode `{view.headline_weights}`, {shots} per class, {seeds}{few}"


def update(path: Path, params: Params | None = None) -> bool:
    """Replace the block of the README at `path`; returns whether it changed.

    All suites of `run.suites` are in it, `run.headline` above the others; params.yaml and reports/ are looked for
    beside the README. Raises `BenchError` when the markers are missing.
    """
    return put(path, BLOCK, lambda: _block(path, params))


def check(path: Path, params: Params | None = None) -> bool:
    """Return whether the block of the README at `path` is what `update` would write."""
    return holds(path, BLOCK, lambda: _block(path, params))


def _block(path: Path, params: Params | None) -> str:
    suites = in_order(params or load_params(path.parent / "params.yaml"))
    headline, *others = (read_summary(path.parent, suite) for suite in suites)
    return render_block(headline, others)
