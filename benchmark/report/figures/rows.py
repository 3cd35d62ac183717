"""Panels of rows: each row has a name, with differences and their intervals side by side in it."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmark.report.figures import style


def height(row: int, place: int, count: int, band: float) -> float:
    """Return the y of one of `count` places in a row, which share the part `band` of it."""
    return row + band * ((place + 0.5) / count - 0.5)


def point(axes: Axes, mean: float, half: float | None, y: float, linewidth: float, **look: Any) -> None:
    """Draw a mean (%) at y and its interval, as wide a line as `linewidth`; no interval below three seeds."""
    axes.plot(100 * mean, y, linestyle="none", **look)
    if half is not None:
        ends = [100 * mean - 100 * half, 100 * mean + 100 * half]
        axes.plot(ends, [y, y], color=look["color"], linewidth=linewidth, zorder=2, solid_capstyle="butt")


def zero(axes: Axes) -> None:
    """Mark where nothing differs."""
    axes.axvline(0, color=style.DENSE_COLOUR, linewidth=0.8, zorder=1)


def name(axes: Axes, names: Sequence[str], whole: bool = False, ticks: int = 6) -> None:
    """Name the rows from the top down and part them by lines; at most `ticks` steps on x, integers if `whole`."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=whole))
    for between in range(1, len(names)):
        axes.axhline(between - 0.5, color=style.RC["grid.color"], linewidth=0.6, zorder=0.5)
