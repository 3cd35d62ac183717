"""A study: what each variant changes in area, and beside it what answers the study's question."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report import studies as table
from benchmark.report.figures import style
from benchmark.report.figures.accuracy import shift, variant_line
from benchmark.report.figures.forest import INK, Mark, forest, handle, look
from benchmark.report.labels import COSTS, variant_label
from benchmark.report.view import Record, View

TICKS = 4  # steps of a narrow panel


# Of what searches were like: a panel's title, the unit of its axis, and what it shows of a record.
BESIDE: dict[str, tuple[str, str, Callable[[Record], float | None]]] = {
    "gap": ("discretisation gap", "relaxed - discrete (points)", itemgetter("gap")),
    "undecided": ("undecided units", "at the end (%)", itemgetter("undecided")),
    "spread": ("spread of widths", "coefficient of variation (%)", itemgetter("spread")),
    "shared": ("units shared by seeds", "above chance (points)", table.above_chance),
    "nested": ("nested units", "in the next budget (%)", itemgetter("nested")),
}
ACCURACY = "accuracy"


def study(view: View, name: str) -> Figure | None:
    """Draw a study: a row of panels per granularity, a line per variant; None where it has nothing to show.

    Left the difference of areas from the default, a point per weights mode and set of budgets. Beside it what the
    study's question asks: what the searches were like, or the accuracy at each budget, which also stands where no
    search noted the others.
    """
    shown = {g: variants for g in view.granularities if len(variants := table.variants(view, name, g)) > 1}
    if not shown:
        return None
    beside = _beside(view, name)
    height = 0.5 + 0.27 * max(map(len, shown.values()))
    figure, panels = style.canvas(len(shown), 1 + len(beside), height)
    few = any(record["budgets"] == "small" for record in table.areas(view, name))
    for column, key in zip(panels.T, ("", *beside), strict=True):
        for axes in column[1:]:
            if key != "spread":  # layers keep very different numbers of channels and of weights
                axes.sharex(column[0])
    for row, (granularity, variants) in zip(panels, shown.items(), strict=True):
        _differences(row[0], view, name, granularity, variants, few)
        row[0].set_ylabel(f"{granularity} pruning")
        for axes, key in zip(row[1:], beside, strict=True):
            if key == ACCURACY:
                _accuracies(axes, view, name, granularity, variants)
            else:
                _searches(axes, view, name, granularity, variants, key, few)
    panels[0][0].set_title("area minus the default's")
    panels[-1][0].set_xlabel("difference (points)")
    for column, key in zip(panels.T[1:], beside, strict=True):
        if key == ACCURACY:
            column[0].set_title(f"accuracy, weights {view.headline_weights}")
            column[-1].set_xlabel(f"complexity (% of {COSTS[view.cost]})")
            _name_curves(column[0], view, name, next(iter(shown.values())))
            style.accuracy_limits(column)
        else:
            column[0].set_title(BESIDE[key][0])
            column[-1].set_xlabel(BESIDE[key][1])
    style.legend(figure, _handles(view, few))
    return figure


def _beside(view: View, name: str) -> list[str]:
    found = table.searches(view, name)
    wanted = table.question(name).beside
    known = [key for key in wanted if key == ACCURACY or any(BESIDE[key][2](record) is not None for record in found)]
    return known or [ACCURACY]


def _differences(axes: Axes, view: View, name: str, granularity: str, variants: list[str], few: bool) -> None:
    sets = ["small", "all"] if few else ["all"]
    places = [(weights, budgets) for weights in view.weights for budgets in sets]
    marks = [
        Mark(
            variants.index(record["variant"]),
            places.index((record["weights"], record["budgets"])),
            record["difference"],
            record["half"],
            look(*style.WEIGHTS[record["weights"]], filled=record["budgets"] == sets[0]),
        )
        for record in table.areas(view, name)
        if record["granularity"] == granularity and record["difference"] is not None
    ]
    forest(axes, [variant_label(variant) for variant in variants], marks, len(places), ticks=TICKS)


def _searches(axes: Axes, view: View, name: str, granularity: str, variants: list[str], key: str, few: bool) -> None:
    sets = ["small", "all"] if few else ["all"]
    found = [record for record in table.searches(view, name) if record["granularity"] == granularity]
    marks = [
        Mark(row, at, value, record["gap_half"] if key == "gap" else None, look(INK, "D", budgets == sets[0]))
        for row, variant in enumerate(variants)
        for at, budgets in enumerate(sets)
        if (record := table.only(found, variant=variant, budgets=budgets))
        and (value := BESIDE[key][2](record)) is not None
    ]
    forest(axes, [""] * len(variants), marks, len(sets), zero=key in ("gap", "shared"), ticks=TICKS)
    if key in ("gap", "shared"):
        axes.margins(x=0.08)
    elif key == "spread":
        axes.set_xlim(0, 1.08 * axes.get_xlim()[1])
    else:
        axes.set_xlim(-4, 104)


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


def _handles(view: View, few: bool) -> list[Any]:
    modes = [handle(mode, *style.WEIGHTS[mode]) for mode in view.weights]
    if not few:
        return modes
    return [*modes, handle(f"filled: budgets of {table.FEW}"), handle("open: all budgets", filled=False)]
