"""Transfer accuracy against complexity: the methods, and the variants of each method."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.report.figures import style
from benchmark.report.labels import label, plural, variant_label
from benchmark.report.view import View

STEP = 0.035  # sideways distance between neighbouring curves, in log complexity
SPREAD = 0.16  # of all curves together at most, so that every point stays at its budget


def accuracy(view: View) -> Figure:
    """Draw the default variant of every method, weights of the headline: the main figure.

    With one target, panels are granularities x shots. With several, the headline target (their mean) at the headline's
    shots, a panel per granularity.
    """
    if not view.several:
        figure, panels = style.canvas(len(view.granularities), len(view.shots), 2.15, sharex=True, sharey="col")
        for r, granularity in enumerate(view.granularities):
            for c, shots in enumerate(view.shots):
                _methods(panels[r][c], view, granularity, view.targets[0], shots)
                if r == 0:
                    panels[r][c].set_title(plural(shots, "shot") + " per class")
            panels[r][0].set_ylabel(f"{granularity} pruning\naccuracy (%)")
    else:
        figure, panels = style.canvas(1, len(view.granularities), 2.6, sharex=True, sharey=True)
        for axes, granularity in zip(panels[0], view.granularities, strict=True):
            _methods(axes, view, granularity, view.headline_target, view.headline_shots)
            axes.set_title(f"{granularity} pruning")
        panels[0][0].set_ylabel(f"accuracy (%), {view.headline_target}")
    return _finished(figure, panels, view)


def by_target(view: View, granularity: str) -> Figure | None:
    """Draw the same for every target at one granularity: targets x shots; None with a single target.

    Rows have accuracy axes of their own. The panel of a number of shots that a target lacks is left free.
    """
    if not view.several:
        return None
    rows, columns = len(view.targets), len(view.shots)
    figure, panels = style.canvas(rows, columns, 1.75, sharex=True, sharey="row")
    for r, target in enumerate(view.targets):
        for c, shots in enumerate(view.shots):
            axes = panels[r][c]
            if r == 0:
                axes.set_title(plural(shots, "shot") + " per class")
            if shots not in view.shots_of(target):
                style.empty(axes, keep_scale=c == 0)
                continue
            _methods(axes, view, granularity, target, shots)
            below = [other for other in view.targets[r + 1 :] if shots in view.shots_of(other)]
            axes.tick_params(labelbottom=not below)
        panels[r][0].set_ylabel(f"{target}\naccuracy (%)")
    return _finished(figure, panels, view)


def _methods(axes: Axes, view: View, granularity: str, target: str, shots: int) -> None:
    """Draw every method's curve, the dense control and the floors into one panel."""
    look = style.Look(view.methods)
    levels(axes, view, granularity, target, shots)
    for index, method in enumerate(view.methods):
        cells = view.curve(granularity, method, "", view.headline_weights, target, shots)
        style.curve(axes, cells, shift(index, len(view.methods)), **look.of(method))
    style.budget_axis(axes, view.budgets)


def levels(axes: Axes, view: View, granularity: str, target: str, shots: int) -> None:
    """Draw what belongs to no budget: the dense control, also in scratch, raw pixels and guessing."""
    style.chance_line(axes, view.chance(target, shots))
    for measure, floor in view.floors(target, shots).items():
        style.floor_line(axes, measure, floor["accuracy"])
    if view.headline_weights != "scratch":
        style.dense_line(axes, view.dense(granularity, "scratch", target, shots), style.SCRATCH_COLOUR, band=False)
    style.dense_line(axes, view.dense(granularity, view.headline_weights, target, shots))


def _finished(figure: Figure, panels: Any, view: View) -> Figure:
    look = style.Look(view.methods)
    style.complexity_label(figure, view.cost)
    style.accuracy_limits(panels.ravel())
    style.legend(figure, [*(style.handle(**look.of(method)) for method in view.methods), *controls(view)])
    return figure


def controls(view: View) -> list[Line2D]:
    """Return the legend entries of what `levels` draws."""
    known = any(view.chance(target, shots) for target in view.targets for shots in view.shots_of(target))
    found = [style.dense_handle()]
    if view.headline_weights != "scratch" and "scratch" in view.weights:
        found.append(style.dense_handle("dense, in scratch", color=style.SCRATCH_COLOUR))
    found += [style.chance_handle()] if known else []
    return found + [
        style.floor_handle(measure) for measure in dict.fromkeys(f["measure"] for f in view.summary["floors"])
    ]


def variants(view: View) -> Figure | None:
    """Draw the variants of every method that has some, where the headline is: methods x granularities.

    The uniform width is drawn in grey, as the rival. Variants of a study have a figure of their own; None when no
    method has others.
    """
    methods = [method for method in view.methods if len(view.all_variants(method, studied=False)) > 1]
    if not methods:
        return None
    look = style.Look(view.methods)
    rival = {**look.of("uniform"), "color": "#a0a0a0", "zorder": 2, "markersize": 3}
    figure, panels = style.canvas(len(methods), len(view.granularities), 1.75, sharex=True, sharey="row")
    for r, method in enumerate(methods):
        names = view.all_variants(method, studied=False)
        lines = {name: variant_line(look.of(method), index, name) for index, name in enumerate(names)}
        for c, granularity in enumerate(view.granularities):
            axes = panels[r][c]
            where = (view.headline_weights, view.headline_target, view.headline_shots)
            style.dense_line(axes, view.dense(granularity, *where))
            if "uniform" in view.methods and method != "uniform":
                style.curve(axes, view.curve(granularity, "uniform", "", *where), **rival)
            for index, name in enumerate(names):
                if name in view.variants(method, granularity):
                    cells = view.curve(granularity, method, name, *where)
                    style.curve(axes, cells, shift(index, len(names)), **lines[name])
            style.budget_axis(axes, view.budgets)
            if r == 0:
                axes.set_title(f"{granularity} pruning")
        panels[r][0].set_ylabel("accuracy (%)")
        style.legend_beside(panels[r][-1], [style.handle(**line) for line in lines.values()], label(method))
    style.complexity_label(figure, view.cost)
    style.accuracy_limits(panels.ravel())
    shared = [style.handle(**rival)] if "uniform" in view.methods else []
    style.legend(figure, [*shared, style.dense_handle()])
    return figure


def variant_line(base: dict[str, Any], index: int, name: str) -> dict[str, Any]:
    """Return a variant's look: its method's colour, with a line and a marker of its own."""
    if index == 0:
        return {**base, "label": variant_label(name)}
    markers = [marker for marker in "oD^vXs" if marker != base["marker"]]
    line = style.LINES[index % len(style.LINES)]
    marker = {"marker": markers[index % len(markers)], "markerfacecolor": "white", "markeredgecolor": base["color"]}
    size = {"linewidth": style.RC["lines.linewidth"], "markersize": style.RC["lines.markersize"]}
    return {**base, **marker, **size, "markeredgewidth": 0.9, "label": variant_label(name), "linestyle": line}


def shift(index: int, count: int) -> float:
    """Return the factor that sets a curve's points beside the others', so that no bar hides another.

    It stays within `SPREAD`, however many curves there are.
    """
    step = min(STEP, SPREAD / max(1, count - 1))
    return math.exp(step * (index - (count - 1) / 2))
