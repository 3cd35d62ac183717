"""Transfer accuracy against complexity: the methods, and the variants of each method."""

import math
from itertools import product
from typing import Any

from matplotlib.figure import Figure

from benchmark.report.figures import style
from benchmark.report.labels import label, plural, variant_label
from benchmark.report.view import View

STEP = 0.035  # sideways distance between neighbouring curves, in log complexity


def accuracy(view: View) -> Figure:
    """Draw the default variant of every method: panels (target, granularity) x shots, weights of the headline."""
    rows = list(product(view.targets, view.granularities))
    look = style.Look(view.methods)
    figure, panels = style.canvas(len(rows), len(view.shots), 2.15, sharex=True, sharey="col")
    for r, (target, granularity) in enumerate(rows):
        for c, shots in enumerate(view.shots):
            axes = panels[r][c]
            style.dense_line(axes, view.dense(granularity, view.headline_weights, target, shots))
            for index, method in enumerate(view.methods):
                cells = view.curve(granularity, method, "", view.headline_weights, target, shots)
                style.curve(axes, cells, _shift(index, len(view.methods)), **look.of(method))
            style.budget_axis(axes, view.budgets)
            if r == 0:
                axes.set_title(plural(shots, "shot") + " per class")
        panels[r][0].set_ylabel(style.row_label(view, target, granularity, "accuracy (%)"))
    style.complexity_label(figure, view.cost)
    style.accuracy_limits(panels.ravel())
    style.legend(figure, [*(style.handle(**look.of(method)) for method in view.methods), style.dense_handle()])
    return figure


def variants(view: View) -> Figure | None:
    """Draw the variants of every method that has some: a row of panels per method, a column per (target, granularity).

    The uniform width is drawn in grey, as the rival. None when no method has variants.
    """
    methods = [method for method in view.methods if len(view.all_variants(method)) > 1]
    if not methods:
        return None
    columns = list(product(view.targets, view.granularities))
    look = style.Look(view.methods)
    rival = {**look.of("uniform"), "color": "#a0a0a0", "zorder": 2, "markersize": 3}
    figure, panels = style.canvas(len(methods), len(columns), 1.75, sharex=True, sharey="row")
    for r, method in enumerate(methods):
        names = view.all_variants(method)
        lines = {name: _line(look.of(method), index, name) for index, name in enumerate(names)}
        for c, (target, granularity) in enumerate(columns):
            axes = panels[r][c]
            where = (view.headline_weights, target, view.headline_shots)
            style.dense_line(axes, view.dense(granularity, *where))
            if "uniform" in view.methods and method != "uniform":
                style.curve(axes, view.curve(granularity, "uniform", "", *where), **rival)
            for index, name in enumerate(names):
                if name in view.variants(method, granularity):
                    cells = view.curve(granularity, method, name, *where)
                    style.curve(axes, cells, _shift(index, len(names)), **lines[name])
            style.budget_axis(axes, view.budgets)
            if r == 0:
                axes.set_title(style.column_label(view, target, granularity))
        panels[r][0].set_ylabel("accuracy (%)")
        style.legend_beside(panels[r][-1], [style.handle(**line) for line in lines.values()], label(method))
    style.complexity_label(figure, view.cost)
    style.accuracy_limits(panels.ravel())
    shared = [style.handle(**rival)] if "uniform" in view.methods else []
    style.legend(figure, [*shared, style.dense_handle()])
    return figure


def _line(base: dict[str, Any], index: int, name: str) -> dict[str, Any]:
    """Return a variant's look: its method's colour, with a line and a marker of its own."""
    if index == 0:
        return {**base, "label": variant_label(name)}
    markers = [marker for marker in "oD^vXs" if marker != base["marker"]]
    line = style.LINES[index % len(style.LINES)]
    marker = {"marker": markers[index % len(markers)], "markerfacecolor": "white", "markeredgecolor": base["color"]}
    return {**base, **marker, "markeredgewidth": 0.9, "label": variant_label(name), "linestyle": line}


def _shift(index: int, count: int) -> float:
    """Return the factor that sets a curve's points beside the others', so that no bar hides another."""
    return math.exp(STEP * (index - (count - 1) / 2))
