"""What happens during a DAP search, step by step."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmark.analysis.conventions import REFERENCE
from benchmark.report.figures import style
from benchmark.report.labels import label
from benchmark.report.view import View

QUANTITIES = [
    ("loss", "held-out loss\n(nats)", 1.0),
    ("complexity", "complexity\n(%)", 100.0),
    ("multiplier", "multiplier λ", 1.0),
    ("undecided", "undecided\nunits (%)", 100.0),
]


def dynamics(view: View, traces: Sequence[dict[str, Any]], granularity: str) -> Figure | None:
    """Draw loss, complexity (log), multiplier and undecided units per step: a column per weight law, a line per seed.

    A single law's panels stand two by two. `traces` as in METHOD.search.json; those of a study's variants are left out.
    None when there is no trace at this granularity.
    """
    traces = [trace for trace in traces if trace["granularity"] == granularity and trace["points"]]
    if not traces:
        return None
    shown = view.all_variants(REFERENCE, studied=False)
    laws = [v for v in shown if any(t["variant"] == v for t in traces)]
    if len(laws) > 1:
        figure, panels = style.canvas(len(QUANTITIES), len(laws), 1.35, sharex="col", sharey="row")
        bottom = panels[-1:]
    else:
        figure, panels = style.canvas(2, 2, 1.5, sharex=True)
        bottom, panels = panels[-1:].T, panels.reshape(-1, 1)
    for c, law in enumerate(laws):
        for r, (name, unit, scale) in enumerate(QUANTITIES):
            axes = panels[r][c]
            if name == "complexity":
                for budget in view.budgets:
                    axes.axhline(100 * budget, color="#c8c8c8", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
                axes.grid(False)
                axes.set_yscale("log")
            for trace in (t for t in traces if t["variant"] == law):
                steps = [point["step"] for point in trace["points"]]
                values = [scale * point[name] for point in trace["points"]]
                colour = style.SEEDS[view.seeds.index(trace["seed"]) % len(style.SEEDS)]
                axes.plot(steps, values, color=colour, linewidth=1.0, alpha=0.85)
            if c == 0:
                axes.set_ylabel(unit)
            if name == "complexity":
                _percent_axis(axes, view.budgets)
        if len(laws) > 1:
            panels[0][c].set_title(label(REFERENCE, law))
        for axes in bottom[:, c]:
            axes.set_xlabel("architecture step")
    seeds = [style.handle(color=style.SEEDS[i % len(style.SEEDS)], label=f"seed {s}") for i, s in enumerate(view.seeds)]
    budgets = style.handle(color="#c8c8c8", linewidth=0.7, linestyle=(0, (2, 2)), label="budgets")
    style.legend(figure, [*seeds, budgets])
    figure.align_ylabels(panels[:, 0])
    return figure


def _percent_axis(axes: Any, budgets: Sequence[float]) -> None:
    ticks = [t for t in (0.01, 0.1, 1, 10, 100) if t >= 50 * min(budgets)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
