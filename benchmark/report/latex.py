"""The accuracy tables for a paper: LaTeX with booktabs."""

from benchmark.report import render
from benchmark.report.accuracy_table import accuracy_table
from benchmark.report.labels import COSTS, plural
from benchmark.report.view import View


def main_tex(view: View) -> str:
    """Return a `table` environment per target and granularity, with a block of rows per number of shots.

    To be \\input; needs \\usepackage{booktabs}.
    """
    parts = ["% Made by the stage report; needs \\usepackage{booktabs}."]
    for target, granularity, title in view.parts():
        where, entries = (view, target, granularity, view.headline_weights), view.entries(granularity)
        blocks = {
            f"{plural(shots, 'shot')} per class": accuracy_table(*where, shots, entries).table
            for shots in view.shots_of(target)
        }
        lines = [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_caption(view, title)}}}",
            rf"\label{{tab:{view.suite}-{target.replace(' ', '-')}-{granularity}}}",
            render.latex(blocks),
            r"\end{table}",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _caption(view: View, title: str) -> str:
    return (
        f"Target accuracy in percent after retraining, {render.escape_latex(title)} pruning, weights mode "
        f"\\texttt{{{view.headline_weights}}}, by share of {COSTS[view.cost]}: mean over "
        f"{plural(len(view.seeds), 'search seed')} $\\pm$ half width of the 95~\\% interval. Bold: best of the column; "
        r"$\dagger$: not resolved from it (95~\% interval of the difference paired by seed). "
        "Area: mean over log complexity. Smallest difference: half width of that interval for DAP and a rival, median."
    )
