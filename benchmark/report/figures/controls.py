"""What each arm changes: differences of areas with their intervals."""

from matplotlib.figure import Figure

from benchmark.report import controls as table
from benchmark.report.figures import style
from benchmark.report.figures.forest import Mark, forest
from benchmark.report.view import View


def arms(view: View) -> Figure | None:
    """Draw arm minus grid in points, a panel per granularity and a row per arm; None without these arms."""
    names = table.names(view)
    shown = [g for g in view.granularities if any(table.areas(view, g, arm) for arm in names)]
    if not shown:
        return None
    height = 0.45 + len(names) * max(0.45, 0.13 * len(view.methods))
    figure, panels = style.canvas(1, len(shown), height, sharex=True, sharey=True)
    look = {method: style.Look(view.methods).of(method) for method in view.methods}
    for axes, granularity in zip(panels[0], shown, strict=True):
        marks = [
            Mark(row, view.methods.index(r["method"]), r["difference"], r["half"], style.EDGE | look[r["method"]])
            for row, arm in enumerate(names)
            for r in table.areas(view, granularity, arm)
        ]
        forest(axes, names, marks, len(view.methods), whole=True)
        axes.set_title(f"{granularity} pruning")
    figure.supxlabel("area in the arm minus area in the grid (points)", fontsize=style.RC["axes.labelsize"])
    style.legend(figure, [style.handle(**look[method], linestyle="none") for method in view.methods])
    return figure
