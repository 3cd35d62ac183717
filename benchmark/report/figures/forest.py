"""The forest plot: named rows with marks and their intervals side by side, and a line where nothing differs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmark.report.figures import style

BAND = 0.72  # of a row, shared by its places
INK = "#444444"


@dataclass(frozen=True)
class Mark:
    """A mean and its interval's half width (None below three seeds), as shares, at one of the places of a row."""

    row: int
    place: int
    mean: float
    half: float | None
    look: Mapping[str, Any]


def forest(
    axes: Axes,
    names: Sequence[str],
    marks: Iterable[Mark],
    places: int,
    zero: bool = True,
    whole: bool = False,
    ticks: int = 6,
) -> None:
    """Draw marks in percent into rows that are named from the top down, `places` of them in each.

    `zero` marks where nothing differs. At most `ticks` steps on x, integers if `whole`.
    """
    for mark in marks:
        y = mark.row + BAND * ((mark.place + 0.5) / places - 0.5)
        axes.plot(100 * mark.mean, y, linestyle="none", **mark.look)
        if mark.half is not None:
            ends = [100 * mark.mean - 100 * mark.half, 100 * mark.mean + 100 * mark.half]
            axes.plot(ends, [y, y], color=mark.look["color"], linewidth=0.9, zorder=2, solid_capstyle="butt")
    if zero:
        axes.axvline(0, color=style.DENSE_COLOUR, linewidth=0.8, zorder=1)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=whole))
    for between in range(1, len(names)):
        axes.axhline(between - 0.5, color=style.RC["grid.color"], linewidth=0.6, zorder=0.5)


def look(colour: str, marker: str, filled: bool) -> dict[str, Any]:
    """Return the look of a mark that is filled or open."""
    return {
        "color": colour,
        "marker": marker,
        "markersize": 4,
        "markeredgewidth": 0.9,
        "markeredgecolor": colour,
        "markerfacecolor": colour if filled else "white",
        "zorder": 3,
    }


def handle(name: str, colour: str = INK, marker: str = "D", filled: bool = True) -> Any:
    """Return the legend entry of such marks."""
    return style.handle(**look(colour, marker, filled), linestyle="none", label=name)
