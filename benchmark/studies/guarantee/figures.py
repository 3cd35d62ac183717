"""The figures: measured gaps beside their bounds, on logarithmic axes."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from benchmark.report.figures import style

BOUND: Any = (0, (4, 1.6))
COLOURS = ["#332288", "#CC6677", "#44AA99", "#999933"]  # Tol's muted colours
MARKERS = ["o", "^", "s", "D"]
TEMPERATURES = [0.0, 0.5, 1.0, 0.25]  # tau_lo / tau_hi, each with one colour in all figures
Record = dict[str, Any]
Curve = tuple[int, Record, str, str]  # number of the colour, record, names of the gap and of its bound ("" for none)
Curves = Callable[[str], list[Curve]]


def draw(document: dict[str, Any], folder: Path) -> list[str]:
    """Write every figure as SVG and PNG into `folder`; returns their names."""
    with style.context():
        figures = {
            "steps": steps(document),
            "temperatures": temperatures(document),
            "batches": batches(document),
            "last": last(document),
            "rounding": rounding(document),
        }
        for name, figure in figures.items():
            style.save(figure, folder / name)
    return list(figures)


def steps(document: dict[str, Any]) -> Figure:
    """Draw the average gap against the number of steps at a constant slope, for several step sizes."""
    tuned = sorted({record["tuned_for"] for record in document["full"]})

    def curves(problem: str) -> list[Curve]:
        found = [r for r in _of(document["full"], problem) if r["ratio"] == 0]
        return [(tuned.index(record["tuned_for"]), record, "average", "bound") for record in found]

    return _gaps(document, curves, {index: f"step for T = {steps}" for index, steps in enumerate(tuned)})


def temperatures(document: dict[str, Any]) -> Figure:
    """Draw by what factor a finite backward temperature raises the average gap, and its bound, at one step size."""
    full = document["full"]
    tuned = next(record["tuned_for"] for record in full if record["ratio"] > 0)
    ratios = sorted({record["ratio"] for record in full} - {0.0})
    figure, panels = _grid(len(document["problems"]), 3, 1.9, sharex=True, sharey=True)
    for axes, problem in zip(panels, document["problems"], strict=False):
        found = {r["ratio"]: r for r in _of(full, problem["name"]) if r["tuned_for"] == tuned}
        for ratio in ratios:
            index = TEMPERATURES.index(ratio)
            for name, line in (("seen", _bound(index)), ("average", _measured(index))):
                pairs = zip(found[ratio][name], found[0.0][name], strict=True)
                axes.plot(found[ratio]["steps"], [value / constant for value, constant in pairs], **line)
        axes.set_title(problem["title"], fontsize=7.5)
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    style.legend(figure, _handles(_named(ratios), "bound from the gradients met"))
    _label(figure, f"gap over the gap at {temperature(0)}")
    return figure


def last(document: dict[str, Any]) -> Figure:
    """Draw the gap of the last iterate, with full gradients and the longest step that has a bound."""
    ratios = sorted({record["ratio"] for record in document["last"]})

    def curves(problem: str) -> list[Curve]:
        # Only the constant slope has a bound made for the last iterate; the others' would squeeze the curves.
        found = _of(document["last"], problem)
        return [(TEMPERATURES.index(r["ratio"]), r, "last", "" if r["ratio"] else "bound") for r in found]

    return _gaps(document, curves, _named(ratios), f"bound for {temperature(0)}")


def batches(document: dict[str, Any]) -> Figure:
    """Draw the mean gap and its interval with mini-batches; every number of steps has its own best step size."""
    titles = {problem["name"]: problem["title"] for problem in document["problems"]} | {"coin": "signs hidden by noise"}
    ratios = sorted({record["ratio"] for record in document["batches"]})
    figure, panels = _grid(len(titles) + 1, 4, 1.75)
    for axes, name in zip(panels, titles, strict=False):
        for record in _of(document["batches"], name):
            index, points = TEMPERATURES.index(record["ratio"]), record["points"]
            x, y = [point["steps"] for point in points], [point["average"] for point in points]
            axes.plot(x, [point["bound"] for point in points], **_bound(index))
            axes.plot(x, y, **{**_measured(index), "markevery": 1})
            for at, point in zip(x, points, strict=True):
                low, high = (max(point["average"] + sign * point["half"], 1e-12) for sign in (-1, 1))
                axes.plot([at, at], [low, high], color=COLOURS[index], linewidth=0.8, alpha=0.6)
        _log_axes(axes, titles[name])
    free = panels[len(titles)]
    free.set_axis_off()
    free.legend(handles=_handles(_named(ratios), "bound"), loc="center left", handlelength=2.4)
    _label(figure, "mean gap: J above its minimum")
    return figure


def rounding(document: dict[str, Any]) -> Figure:
    """Draw how far the rounded mean iterate is above the best architecture, against the price of complexity."""
    kinds = [
        ("expected", "drawn at random (mean)", COLOURS[1], "-", "^"),
        ("settled", "settled one by one", COLOURS[2], "-", "s"),
        ("threshold", "above one half", COLOURS[0], "-", "o"),
        ("ceiling", "bound of the first two", "#555555", BOUND, ""),
    ]
    names = list(dict.fromkeys(record["problem"] for record in document["rounding"]))
    titles = {problem["name"]: problem["title"] for problem in document["problems"]}
    figure, panels = style.canvas(1, len(names), 2.1)
    for axes, name in zip(panels[0], names, strict=True):
        records = _of(document["rounding"], name)
        places = range(len(records))
        for kind, _, colour, line, marker in kinds:
            scale = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3.5}
            axes.plot(places, [max(record[kind], 0.0) for record in records], **scale, **style.EDGE)
        axes.set_xticks(list(places), [f"{record['penalty']:.3g}" for record in records])
        axes.set_xlabel("price of complexity λ")
        axes.set_title(titles[name])
        axes.set_ylim(bottom=0 - 0.02 * axes.get_ylim()[1])
    panels[0][0].set_ylabel("J above the best architecture")
    style.legend(
        figure,
        [
            style.handle(color=colour, linestyle=line, marker=marker, label=text)
            for _, text, colour, line, marker in kinds
        ],
    )
    return figure


def temperature(ratio: float) -> str:
    """Return a backward temperature in words, from tau_lo / tau_hi."""
    if ratio == 0:
        return "τ$_{hi}$ = ∞"
    return "τ$_{hi}$ = τ$_{lo}$" if ratio == 1 else f"τ$_{{hi}}$ = {1 / ratio:g} τ$_{{lo}}$"


def _gaps(document: dict[str, Any], curves: Curves, labels: dict[int, str], bound: str = "bound") -> Figure:
    """A panel for each problem: gaps as full lines, bounds as broken lines of the same colour."""
    figure, panels = _grid(len(document["problems"]), 3, 1.9)
    for axes, problem in zip(panels, document["problems"], strict=False):
        for index, record, gap, limit in curves(problem["name"]):
            if limit:
                axes.plot(record["steps"], record[limit], **_bound(index))
            # Below what the certificate of the minimum leaves open, a gap says nothing.
            shown = [value if value > 10 * problem["uncertain"] + 1e-12 else float("nan") for value in record[gap]]
            axes.plot(record["steps"], shown, **_measured(index))
        _log_axes(axes, problem["title"])
    style.legend(figure, _handles(labels, bound))
    _label(figure, "gap: J above its minimum")
    return figure


def _grid(count: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure and its panels row by row; what is left of the last row is empty."""
    figure, panels = style.canvas(math.ceil(count / columns), columns, height, **options)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    return figure, list(panels.flat)


def _measured(index: int) -> dict[str, Any]:
    look = {"color": COLOURS[index], "linewidth": 1.3, "marker": MARKERS[index], "markersize": 3.5}
    # Not all at one place, where curves lie upon each other.
    return {**style.EDGE, **look, "markevery": (2 * index, 8)}


def _bound(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index], "linestyle": BOUND, "linewidth": 1.0}


def _named(ratios: Sequence[float]) -> dict[int, str]:
    return {TEMPERATURES.index(ratio): temperature(ratio) for ratio in ratios}


def _handles(labels: dict[int, str], bound: str) -> list[Any]:
    curves = [style.handle(**{**_measured(index), "label": label}) for index, label in labels.items()]
    grey = {"color": "#555555"}
    return [
        *curves,
        style.handle(**grey, linewidth=1.3, label="measured"),
        style.handle(**grey, linestyle=BOUND, linewidth=1.0, label=bound),
    ]


def _label(figure: Figure, gap: str) -> None:
    figure.supxlabel("steps T", fontsize=style.RC["axes.labelsize"])
    figure.supylabel(gap, fontsize=style.RC["axes.labelsize"])


def _log_axes(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, fontsize=7.5)
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _of(records: Sequence[Record], problem: str) -> list[Record]:
    return [record for record in records if record["problem"] == problem]
