"""Transfer accuracy over both costs: parameters and MACs of the same architectures, side by side."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmark.analysis.equal_cost import OTHER
from benchmark.config.params import CostKind
from benchmark.report.figures import style
from benchmark.report.figures.accuracy import controls, levels
from benchmark.report.labels import COSTS
from benchmark.report.view import Record, View

TICKS = [100 * mantissa * 10.0**exponent for exponent in range(-6, 1) for mantissa in (1, 2, 5)]


def costs(view: View) -> Figure | None:
    """Draw the headline's curves over the cost that budgets are shares of, and over the other one.

    A row per granularity. Budgets limit one cost only: what a method saves in it it may spend in the other. None
    without the dense control, whose costs are the 100 %.
    """
    place = (view.headline_weights, view.headline_target, view.headline_shots)
    if any(view.dense(granularity, *place) is None for granularity in view.granularities):
        return None
    look = style.Look(view.methods)
    other = OTHER[view.cost]
    figure, panels = style.canvas(len(view.granularities), 2, 2.15, sharey="row")
    for row, granularity in zip(panels, view.granularities, strict=True):
        dense = view.dense(granularity, *place) or {}
        for axes, cost in zip(row, (view.cost, other), strict=True):
            levels(axes, view, granularity, view.headline_target, view.headline_shots)
            for method in view.methods:
                cells = view.curve(granularity, method, "", *place)
                style.curve(axes, [_over(cell, dense, cost) for cell in cells], **look.of(method))
            _cost_axis(axes, f"{COSTS[cost]} (% of the large model)")
        row[0].set_ylabel(f"{granularity} pruning\naccuracy (%)")
    style.accuracy_limits(panels.ravel())
    style.legend(figure, [*(style.handle(**look.of(method)) for method in view.methods), *controls(view)])
    return figure


def _over(cell: Record, dense: Record, cost: CostKind) -> Record:
    # Results carry no bytes: their share of the memory is the complexity, where budgets limit that.
    return cell if cost == "memory" else {**cell, "complexity": cell[cost] / dense[cost]}


def _cost_axis(axes: Axes, name: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(name)
    low, high = axes.get_xlim()
    inside = [tick for tick in TICKS if low <= tick <= high]
    # One tick in three where they are many: powers of ten.
    shown = inside if len(inside) <= 8 else [tick for tick in inside if math.log10(tick).is_integer()]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:.3g}" for tick in shown])
