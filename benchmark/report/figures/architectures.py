"""The architectures themselves: the share of units that each layer keeps."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from benchmark.report.figures import style
from benchmark.report.labels import label, percent, unit
from benchmark.report.view import View


def architectures(view: View, kept: Sequence[dict[str, Any]], granularity: str) -> Figure | None:
    """Draw one heat map per budget: methods x layers, colour = mean share of units kept (log scale).

    `kept` holds the records of `benchmark.report.layers`. None when there is no architecture at this granularity.
    """
    records = [r for r in kept if r["granularity"] == granularity and not r["variant"]]
    if not records:
        return None
    layers = sorted({r["layer"] for r in records})
    methods = [method for method in view.methods if any(r["method"] == method for r in records)]
    shares = {(r["budget"], r["method"], r["layer"]): r["kept"] / r["size"] for r in records}
    columns = min(3, len(view.budgets))
    rows = math.ceil(len(view.budgets) / columns)
    figure, panels = style.canvas(rows, columns, 0.62 + 0.17 * len(methods), sharex=True, sharey=True)
    norm = LogNorm(min(shares.values()), 1.0)
    for axes in panels.ravel()[len(view.budgets) :]:
        axes.set_axis_off()
    for index, (axes, budget) in enumerate(zip(panels.ravel(), view.budgets, strict=False)):
        grid = np.array([[shares.get((budget, method, layer), np.nan) for layer in layers] for method in methods])
        seaborn.heatmap(grid, ax=axes, norm=norm, cmap="viridis", cbar=False, linewidths=0.4, linecolor="white")
        axes.grid(False)
        axes.tick_params(length=0)
        axes.set_title(f"budget {percent(budget)}")
        step = math.ceil(len(layers) / 8)
        axes.set_xticks(
            [i + 0.5 for i in range(0, len(layers), step)], [str(layer) for layer in layers[::step]], rotation=0
        )
        axes.set_yticks([i + 0.5 for i in range(len(methods))], [label(method) for method in methods], rotation=0)
        if index + columns >= len(view.budgets):
            axes.set_xlabel("layer, from input to output")
            axes.tick_params(labelbottom=True)
    drawn = panels.ravel()[0].collections[0]
    bar = figure.colorbar(drawn, ax=panels, shrink=0.9, aspect=30, pad=0.02, label=f"{unit(granularity)} kept (%)")
    low = 100 * norm.vmin if norm.vmin is not None else 1.0
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if t >= low]
    bar.set_ticks([t / 100 for t in ticks], labels=[f"{t:g}" for t in ticks])
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    return figure
