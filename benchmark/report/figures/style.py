"""One look for all figures: print sizes, colours that survive colour blindness, reproducible files."""

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from benchmark.files import atomic_write
from benchmark.report.colours import colours, stands_out
from benchmark.report.labels import COSTS, FLOORS, label
from benchmark.report.view import Record

WIDTH = 7.2  # inches: the text width of a two-column page
NARROW = 5.0  # inches, for a single panel
DENSE_COLOUR = "#555555"
DENSE_LINE: Any = (0, (6, 2))
CHANCE_LINE: dict[str, Any] = {"color": "#8a8a8a", "linewidth": 0.9, "linestyle": (0, (1, 1.6))}
SCRATCH_COLOUR = "#a8a8a8"
FLOOR_LINES: dict[str, dict[str, Any]] = {
    "nearest": {"color": "#8a6d3b", "linewidth": 1.0, "linestyle": (0, (3, 1.2, 1, 1.2))},
    "probe": {"color": "#8a6d3b", "linewidth": 1.0, "linestyle": (0, (1, 1))},
}
EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4}
STANDS_OUT: dict[str, Any] = {
    **{"zorder": 4, "linewidth": 2.2, "markersize": 6},
    **{"markeredgecolor": "black", "markeredgewidth": 0.9},
}
# Tol's muted colours, none of which stands for a method.
WEIGHTS = {"fresh": ("#332288", "o"), "inherit": ("#CC6677", "^"), "scratch": ("#999999", "s")}
SEEDS = ["#332288", "#CC6677", "#44AA99", "#999933", "#882255", "#88CCEE"]
LINES: list[Any] = ["-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)), (0, (8, 2))]
RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "svg.hashsalt": "dapbench",
    "svg.fonttype": "path",
}


class Look:
    """Colour and marker of every method: those of its class, or by order of appearance where it has none."""

    def __init__(self, methods: Sequence[str]) -> None:
        self._styles = colours(methods)

    def of(self, method: str) -> dict[str, Any]:
        """Return the plot arguments of a method's default variant, with what makes one of them stand out."""
        colour, marker = self._styles[method]
        # Of `numsides`, style 1 (a star) and angle: matplotlib's name of "starN".
        mark = (int(marker[4:]), 1, 0) if marker.startswith("star") else marker
        apart = STANDS_OUT if stands_out(method) else {"zorder": 3}
        return {"color": colour, "marker": mark, "label": label(method), **apart}


def canvas(rows: int, columns: int, panel_height: float, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of print width and its axes as a [rows][columns] array; heights in inches."""
    figure = Figure(figsize=(WIDTH if columns > 1 else NARROW, rows * panel_height + 0.6), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def budget_axis(axes: Axes, budgets: Sequence[float]) -> None:
    """Make x a log axis of complexity in percent whose ticks are the budgets; in a narrow panel some have no number."""
    axes.set_xscale("log")
    ticks = sorted(100 * budget for budget in budgets)
    room = 1.35 if len(ticks) > 1 else 2.0
    axes.set_xlim(ticks[0] / room, ticks[-1] * room)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(_spaced(ticks, _panel_width(axes) / math.log(ticks[-1] * room**2 / ticks[0])))


def empty(axes: Axes, keep_scale: bool) -> None:
    """Leave a panel free but for its title; `keep_scale` keeps the y axis, which its row shares."""
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False)
    if not keep_scale:
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(False)


def complexity_label(figure: Figure, cost: str) -> None:
    """Label the x axes of all panels at once."""
    figure.supxlabel(f"complexity (% of {COSTS[cost]})", fontsize=RC["axes.labelsize"])


def _panel_width(axes: Axes) -> float:
    """Return about how many inches wide a panel will be, before the layout is known."""
    place = axes.get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    return axes.figure.get_figwidth() / columns - 0.5  # type: ignore[union-attr]


def _spaced(ticks: Sequence[float], inches: float) -> list[str]:
    """Return tick labels without those that would touch; `inches` is the length of one e-fold."""
    labels: list[str] = []
    last = math.inf
    for tick in reversed(ticks):
        free = inches * math.log(last / tick) >= 0.2
        labels.append(f"{tick:.3g}" if free else "")
        last = tick if free else last
    return labels[::-1]


def curve(axes: Axes, cells: Sequence[Record], shift: float = 1.0, **style: Any) -> None:
    """Draw mean accuracy (%) against achieved complexity (%) with 95 % bars; `shift` moves points sideways."""
    x = [100 * cell["complexity"] * shift for cell in cells]
    axes.plot(x, [100 * cell["accuracy"] for cell in cells], **{**EDGE, **style})
    for at, cell in zip(x, cells, strict=True):
        bar(axes, at, cell, style["color"])


def bar(axes: Axes, x: float, cell: Record, colour: str) -> None:
    """Draw a cell's 95 % interval (%) at x; nothing below three seeds."""
    if cell["half"] is not None:
        low, high = (100 * (cell["accuracy"] + sign * cell["half"]) for sign in (-1, 1))
        axes.plot([x, x], [low, high], color=colour, linewidth=0.8, alpha=0.55, zorder=2, solid_capstyle="butt")


def dense_line(axes: Axes, cell: Record | None, colour: str = DENSE_COLOUR, band: bool = True) -> None:
    """Draw the dense control: its mean accuracy (%) as a line and its 95 % interval as a band."""
    if cell is None:
        return
    mean = 100 * cell["accuracy"]
    axes.axhline(mean, color=colour, linewidth=1.0, linestyle=DENSE_LINE, zorder=1.5)
    if band and cell["half"] is not None:
        half = 100 * cell["half"]
        axes.axhspan(mean - half, mean + half, color=colour, alpha=0.13, linewidth=0, zorder=0.5)


def dense_handle(name: str = "dense (100 %)", **style: Any) -> Line2D:
    """Return the dense control's legend entry."""
    return handle(**{"color": DENSE_COLOUR, "linewidth": 1.0, "linestyle": DENSE_LINE, "label": name, **style})


def chance_line(axes: Axes, accuracy: float | None) -> None:
    """Draw the accuracy of guessing as a dotted line, where it is known."""
    if accuracy is not None:
        axes.axhline(100 * accuracy, zorder=1.4, **CHANCE_LINE)


def floor_line(axes: Axes, measure: str, accuracy: float) -> None:
    """Draw the accuracy of raw pixels by one measure."""
    axes.axhline(100 * accuracy, zorder=1.4, **FLOOR_LINES[measure])


def floor_handle(measure: str) -> Line2D:
    """Return the legend entry of a floor."""
    return handle(label=FLOORS[measure], **FLOOR_LINES[measure])


def chance_handle() -> Line2D:
    """Return the legend entry of the accuracy of guessing."""
    return handle(label="guessing", **CHANCE_LINE)


def handle(**style: Any) -> Line2D:
    """Return a legend entry with a plot style."""
    return Line2D([], [], **{**EDGE, **style})


def legend(figure: Figure, handles: Sequence[Any]) -> None:
    """Put one shared legend above the panels, in balanced rows."""
    columns = _legend_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    rows = math.ceil(len(handles) / columns)
    figure.set_figheight(figure.get_figheight() + 0.17 * rows)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.3, handlelength=2.0)


def _legend_columns(labels: Sequence[str], inches: float) -> int:
    """Return how many columns a legend may have, filled column by column, so that its labels fit into the width."""
    most = min(len(labels), 7 if inches >= WIDTH else 3)
    for columns in range(most, 1, -1):
        rows = math.ceil(len(labels) / columns)
        widths = [max(map(len, labels[start : start + rows])) for start in range(0, len(labels), rows)]
        # In inches: a character of the legend's font on average, and the line and space beside a label.
        if sum(0.062 * width + 0.45 for width in widths) <= inches:
            return len(widths)
    return 1


def legend_beside(axes: Axes, handles: Sequence[Any], title: str) -> None:
    """Put a legend with a title to the right of a panel."""
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.04), "borderaxespad": 0.0}
    box = axes.legend(handles=handles, title=title, handlelength=2.6, alignment="left", **place)
    box.get_title().set_fontweight("bold")


def accuracy_limits(panels: Sequence[Axes]) -> None:
    """Keep accuracy axes inside 0 to 100 %, where an interval may reach beyond."""
    for axes in panels:
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), min(100.0, high))


def context() -> Any:
    """Return the context in which figures are made and saved."""
    return matplotlib.rc_context({**seaborn.axes_style("ticks"), **RC})


def rendered(figure: Figure, kind: str) -> bytes:
    """Return the figure as an SVG or PNG (200 dpi) file; the same figure gives the same bytes.

    Matplotlib names clip paths and markers by hashes of all digits of their coordinates, and the last ones differ
    between processors. They are numbered here, in the order in which they appear.
    """
    content = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    figure.savefig(content, format=kind, dpi=200, metadata=metadata, facecolor="white")
    if kind == "png":
        return content.getvalue()
    numbers: dict[bytes, int] = {}
    return re.sub(
        rb'((?:id="|#)[A-Za-z]\w*?)([0-9a-f]{10})(?=[")])',
        lambda found: found[1] + b"-%d" % numbers.setdefault(found[2], len(numbers) + 1),
        content.getvalue(),
    )


def save(figure: Figure, path: Path) -> None:
    """Write PATH.svg and PATH.png."""
    for kind in ("svg", "png"):
        atomic_write(path.with_suffix(f".{kind}"), rendered(figure, kind))
