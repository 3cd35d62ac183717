"""A study: what each variant changes in area, and beside it what answers the study's question."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report import studies as table
from benchmark.report.figures import rows, style
from benchmark.report.figures.accuracy import shift, variant_line
from benchmark.report.labels import COSTS, variant_label
from benchmark.report.view import Record, View

BAND = 0.72  # of a variant's row, shared by its points
INK = "#444444"
BESIDE = {
    "gap": ("discretisation gap", "relaxed minus discrete accuracy (points)"),
    "spread": ("spread of widths", "coefficient of variation over seeds (%)"),
    "accuracy": ("accuracy", "complexity (% of {cost})"),
}


def study(view: View, name: str) -> Figure | None:
    """Draw a study: a row of panels per granularity, a line per variant; None where it has nothing to show.

    Left the difference of areas from the default, a point per weights mode and set of budgets. Right the discretisation
    gap, the spread of widths or the accuracy at each budget, as the study's question asks; the accuracy too where no
    search noted the other.
    """
    shown = {g: variants for g in view.granularities if len(variants := table.variants(view, name, g)) > 1}
    if not shown:
        return None
    beside = _beside(view, name)
    height = 0.5 + 0.27 * max(map(len, shown.values()))
    figure, panels = style.canvas(len(shown), 2, height)
    # Layers keep very different numbers of channels and of weights, so their spreads have axes of their own.
    for column in panels.T[: 1 if beside == "spread" else 2]:
        for axes in column[1:]:
            axes.sharex(column[0])
    few = any(record["budgets"] == "small" for record in table.areas(view, name))
    for (left, right), (granularity, variants) in zip(panels, shown.items(), strict=True):
        _differences(left, view, name, granularity, variants, few)
        left.set_ylabel(f"{granularity} pruning")
        if beside == "accuracy":
            _accuracies(right, view, name, granularity, variants)
        else:
            _searches(right, view, name, granularity, variants, beside, few)
    title, unit = BESIDE[beside]
    panels[0][0].set_title("area minus the default's")
    panels[0][1].set_title(f"{title}, weights {view.headline_weights}" if beside == "accuracy" else title)
    panels[-1][0].set_xlabel("difference (points)")
    panels[-1][1].set_xlabel(unit.format(cost=COSTS[view.cost]))
    if beside == "accuracy":
        _name_curves(panels[0][1], view, name, next(iter(shown.values())))
        style.accuracy_limits(panels[:, 1])
    style.legend(figure, _handles(view, few))
    return figure


def _beside(view: View, name: str) -> str:
    wanted = table.question(name).beside
    known = wanted == "accuracy" or any(record[wanted] is not None for record in table.searches(view, name))
    return wanted if known else "accuracy"


def _differences(axes: Axes, view: View, name: str, granularity: str, variants: list[str], few: bool) -> None:
    sets = ["small", "all"] if few else ["all"]
    places = [(weights, budgets) for weights in view.weights for budgets in sets]
    for record in table.areas(view, name):
        if record["granularity"] == granularity and record["difference"] is not None:
            at = places.index((record["weights"], record["budgets"]))
            y = rows.height(variants.index(record["variant"]), at, len(places), BAND)
            colour, marker = style.WEIGHTS[record["weights"]]
            filled = record["budgets"] == sets[0]
            rows.point(axes, record["difference"], record["half"], y, 0.9, **_look(colour, marker, filled), zorder=3)
    rows.zero(axes)
    rows.name(axes, [variant_label(variant) for variant in variants])


def _searches(axes: Axes, view: View, name: str, granularity: str, variants: list[str], key: str, few: bool) -> None:
    sets = ["small", "all"] if few else ["all"]
    found = [record for record in table.searches(view, name) if record["granularity"] == granularity]
    for row, variant in enumerate(variants):
        for at, budgets in enumerate(sets):
            record = table.only(found, variant=variant, budgets=budgets)
            if record and record[key] is not None:
                y = rows.height(row, at, len(sets), BAND)
                half = record["gap_half"] if key == "gap" else None
                rows.point(axes, record[key], half, y, 0.9, **_look(INK, "D", budgets == sets[0]), zorder=3)
    if key == "gap":
        rows.zero(axes)
    else:
        axes.set_xlim(left=0)
    rows.name(axes, [""] * len(variants))


def _accuracies(axes: Axes, view: View, name: str, granularity: str, variants: list[str]) -> None:
    where = (view.headline_weights, view.headline_target, view.headline_shots)
    method = table.method_of(view, name)
    base = style.Look(view.methods).of(method)
    style.dense_line(axes, view.dense(granularity, *where))
    for index, variant in enumerate(variants):
        line = variant_line(base, index, variant)
        cells: list[Record] = view.curve(granularity, method, variant, *where)
        style.curve(axes, cells, shift(index, len(variants)), **line)
    style.budget_axis(axes, view.budgets)
    axes.set_ylabel("accuracy (%)")


def _name_curves(axes: Axes, view: View, name: str, variants: list[str]) -> None:
    base = style.Look(view.methods).of(table.method_of(view, name))
    lines = [style.handle(**variant_line(base, index, variant)) for index, variant in enumerate(variants)]
    style.legend_beside(axes, [*lines, style.dense_handle("dense")], "")


def _look(colour: str, marker: str, filled: bool) -> dict[str, Any]:
    return {
        "color": colour,
        "marker": marker,
        "markersize": 4,
        "markeredgewidth": 0.9,
        "markeredgecolor": colour,
        "markerfacecolor": colour if filled else "white",
    }


def _handles(view: View, few: bool) -> list[Any]:
    modes = [
        style.handle(**_look(*style.WEIGHTS[mode], filled=True), linestyle="none", label=mode) for mode in view.weights
    ]
    if not few:
        return modes
    sets = [(f"filled: budgets of {table.FEW}", True), ("open: all budgets", False)]
    return [*modes, *(style.handle(**_look(INK, "D", f), linestyle="none", label=text) for text, f in sets)]
