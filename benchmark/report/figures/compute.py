"""Accuracy against everything that was spent to get it."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmark.report.figures import style
from benchmark.report.view import Record, View


def compute(view: View) -> Figure:
    """Draw accuracy against pretraining + search + retraining compute (GFLOP, log); larger markers, larger budgets."""
    look = style.Look(view.methods)
    figure, panels = style.canvas(1, len(view.granularities), 2.6, sharex=True, sharey=True)
    sizes = np.linspace(7.0, 3.0, len(view.budgets)) if len(view.budgets) > 1 else [5.0]
    for axes, granularity in zip(panels[0], view.granularities, strict=True):
        where = (view.headline_weights, view.headline_target, view.headline_shots)
        dense = view.dense(granularity, *where)
        style.dense_line(axes, dense)
        if dense:
            axes.plot(total(dense), 100 * dense["accuracy"], marker="d", markersize=7, color=style.DENSE_COLOUR)
        for method in view.methods:
            cells = view.curve(granularity, method, "", *where)
            line = look.of(method)
            x, y = [total(cell) for cell in cells], [100 * cell["accuracy"] for cell in cells]
            axes.plot(x, y, color=line["color"], linewidth=0.8, alpha=0.6, zorder=line["zorder"])
            for cell, a, b in zip(cells, x, y, strict=True):
                size = sizes[view.budgets.index(cell["budget"])]
                axes.plot(a, b, **{**style.EDGE, **line, "markersize": size})
                style.bar(axes, a, cell, line["color"])
        axes.set_xlabel("total compute (GFLOP)")
        axes.set_title(f"{granularity} pruning")
    _compute_axis(panels[0][0])
    panels[0][0].set_ylabel("accuracy (%)")
    style.accuracy_limits(panels.ravel())
    dense_mark = style.dense_handle(marker="d", markersize=7)
    style.legend(figure, [*(style.handle(**look.of(method)) for method in view.methods), dense_mark])
    return figure


def total(cell: Record) -> float:
    """Return the compute behind one accuracy: pretraining, search and retraining, in GFLOP."""
    flops: float = cell["pretrain_flops"] + cell["search_flops"] + cell["train_flops"]
    return flops / 1e9


def _compute_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 1000 else (1.0,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
