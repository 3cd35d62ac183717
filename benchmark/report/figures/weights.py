"""How much of a pruner's accuracy sits in its weights: fresh against inherit and scratch."""

import math
import textwrap
from itertools import product

from matplotlib.figure import Figure

from benchmark.report.figures import style
from benchmark.report.labels import label
from benchmark.report.view import View

COLUMNS = 6


def weights(view: View) -> Figure | None:
    """Draw every method in a panel of its own, one curve and one dense line per weights mode.

    Rows are granularities; target and shots of the headline. None when the suite has one weights mode, or nothing but
    the dense control.
    """
    if len(view.weights) < 2 or not view.methods:
        return None
    columns = math.ceil(len(view.methods) / math.ceil(len(view.methods) / COLUMNS))
    blocks = [view.methods[start : start + columns] for start in range(0, len(view.methods), columns)]
    rows = list(product(view.granularities, blocks))
    where = (view.headline_target, view.headline_shots)
    figure, panels = style.canvas(len(rows), columns, 1.95, sharex=True, sharey=True)
    modes = sorted(view.weights, key=list(style.WEIGHTS).index)
    for r, (granularity, block) in enumerate(rows):
        for c, axes in enumerate(panels[r]):
            if c >= len(block):
                axes.set_axis_off()
                continue
            for mode in modes:
                colour, marker = style.WEIGHTS[mode]
                dense = view.dense(granularity, mode, *where)
                style.dense_line(axes, dense, colour, band=mode == view.headline_weights)
                cells = view.curve(granularity, block[c], "", mode, *where)
                style.curve(axes, cells, color=colour, marker=marker, zorder=3)
            style.budget_axis(axes, view.budgets)
            if r == 0 or len(blocks) > 1:
                axes.set_title(textwrap.fill(label(block[c]), 15))
        panels[r][0].set_ylabel(f"{granularity} pruning\naccuracy (%)")
    style.complexity_label(figure, view.cost)
    style.accuracy_limits(panels.ravel())
    handles = [style.handle(color=style.WEIGHTS[m][0], marker=style.WEIGHTS[m][1], label=m) for m in modes]
    style.legend(figure, [*handles, style.dense_handle("dense, same weights mode")])
    return figure
