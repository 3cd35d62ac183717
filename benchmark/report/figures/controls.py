"""What each arm changes: differences of areas with their intervals."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report import controls as table
from benchmark.report.figures import rows, style
from benchmark.report.view import View

BAND = 0.8  # of an arm's row, shared by the methods


def arms(view: View) -> Figure | None:
    """Draw arm minus grid in points, a panel per granularity and a row per arm; None without these arms."""
    names = table.names(view)
    shown = [g for g in view.granularities if any(table.areas(view, g, arm) for arm in names)]
    if not shown:
        return None
    height = 0.45 + len(names) * max(0.45, 0.13 * len(view.methods))
    figure, panels = style.canvas(1, len(shown), height, sharex=True, sharey=True)
    for axes, granularity in zip(panels[0], shown, strict=True):
        for row, arm in enumerate(names):
            _row(axes, view, granularity, arm, row)
        rows.zero(axes)
        rows.name(axes, names, whole=True)
        axes.set_title(f"{granularity} pruning")
    figure.supxlabel("area in the arm minus area in the grid (points)", fontsize=style.RC["axes.labelsize"])
    look = style.Look(view.methods)
    style.legend(figure, [style.handle(**look.of(method), linestyle="none") for method in view.methods])
    return figure


def _row(axes: Axes, view: View, granularity: str, arm: str, row: int) -> None:
    look = style.Look(view.methods)
    for record in table.areas(view, granularity, arm):
        method = record["method"]
        y = rows.height(row, view.methods.index(method), len(view.methods), BAND)
        rows.point(axes, record["difference"], record["half"], y, 1.0, **style.EDGE, **look.of(method))
