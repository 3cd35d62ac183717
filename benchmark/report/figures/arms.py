"""What each arm changes: differences of areas with their intervals."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.report import arms as table
from benchmark.report.figures import style
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
        axes.axvline(0, color=style.DENSE_COLOUR, linewidth=0.8, zorder=1)
        axes.set_title(f"{granularity} pruning")
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for between in range(1, len(names)):
            axes.axhline(between - 0.5, color=style.RC["grid.color"], linewidth=0.6, zorder=0.5)
    first = panels[0][0]
    first.set_ylim(len(names) - 0.5, -0.5)
    first.set_yticks(range(len(names)), names)
    for axes in panels[0]:
        axes.tick_params(axis="y", length=0)
    figure.supxlabel("area in the arm minus area in the grid (points)", fontsize=style.RC["axes.labelsize"])
    look = style.Look(view.methods)
    style.legend(figure, [style.handle(**look.of(method), linestyle="none") for method in view.methods])
    return figure


def _row(axes: Axes, view: View, granularity: str, arm: str, row: int) -> None:
    look, count = style.Look(view.methods), len(view.methods)
    for record in table.areas(view, granularity, arm):
        place = view.methods.index(record["method"])
        y = row + BAND * ((place + 0.5) / count - 0.5)
        line = look.of(record["method"])
        axes.plot(100 * record["difference"], y, linestyle="none", **{**style.EDGE, **line})
        if record["half"] is not None:
            ends = [100 * (record["difference"] + sign * record["half"]) for sign in (-1, 1)]
            axes.plot(ends, [y, y], color=line["color"], linewidth=1.0, zorder=2, solid_capstyle="butt")
