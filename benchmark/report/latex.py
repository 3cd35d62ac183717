"""The accuracy tables for a paper: LaTeX with booktabs."""

from benchmark.report.accuracy_table import Entry, accuracy_table
from benchmark.report.labels import COSTS, plural
from benchmark.report.view import View

SPECIAL = {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$", "±": r"$\pm$", "\u00a0": "~"}


def main_tex(view: View) -> str:
    """Return a `table` environment per target and granularity, with a block of rows per number of shots.

    To be \\input; needs \\usepackage{booktabs}.
    """
    parts = ["% Made by the stage report; needs \\usepackage{booktabs}."]
    for target, granularity, title in view.parts():
        columns = len(view.budgets) + 1
        lines = [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_caption(view, title)}}}",
            rf"\label{{tab:{view.suite}-{target.replace(' ', '-')}-{granularity}}}",
            rf"\begin{{tabular}}{{l*{{{columns}}}{{r}}}}",
            r"\toprule",
        ]
        for index, shots in enumerate(view.shots_of(target)):
            table = accuracy_table(view, target, granularity, view.headline_weights, shots, view.entries(granularity))
            lines += [] if index else [" & ".join(["method", *map(escape, table.columns)]) + r" \\"]
            lines += [
                r"\midrule",
                rf"\multicolumn{{{columns + 1}}}{{l}}{{\emph{{{plural(shots, 'shot')} per class}}}} \\",
            ]
            lines += [
                rf"{escape(name)} & \multicolumn{{{columns}}}{{l}}{{{escape(entry.text)}}} \\"
                for name, entry in table.levels.items()
            ]
            lines += [" & ".join([escape(row.label), *map(_entry, row.entries)]) + r" \\" for row in table.rows]
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return "".join(SPECIAL.get(character, character) for character in text)


def _caption(view: View, title: str) -> str:
    return (
        f"Target accuracy in percent after retraining, {escape(title)} pruning, weights mode "
        f"\\texttt{{{view.headline_weights}}}, by share of {COSTS[view.cost]}: mean over "
        f"{plural(len(view.seeds), 'search seed')} $\\pm$ half width of the 95~\\% interval. Bold: best of the column; "
        r"$\dagger$: not resolved from it (95~\% interval of the difference paired by seed). "
        "Area: mean over log complexity."
    )


def _entry(entry: Entry | None) -> str:
    if entry is None:
        return "--"
    if entry.mark == "best":
        return rf"\textbf{{{escape(entry.text)}}}"
    return escape(entry.text) + (r"$^\dagger$" if entry.mark else "")
