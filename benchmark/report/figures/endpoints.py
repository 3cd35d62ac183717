"""The primary endpoints: their differences with both intervals."""

from matplotlib.figure import Figure

from benchmark.report import verdict
from benchmark.report.figures import style
from benchmark.report.figures.forest import INK, Mark, forest, handle, look
from benchmark.report.view import View

# What a half width is called in a record, and in the legend.
INTERVALS = {"half": "filled: 95 % interval", "joint_half": "open: intervals that hold together"}


def primary(view: View) -> Figure | None:
    """Draw a row per primary endpoint, named by its contrast and by what tells it from the others; None without any."""
    found = [record for record in view.summary["primary"] if record["difference"] is not None]
    if not found:
        return None
    parts = [verdict.where(record) for record in found]
    telling = [len(set(part)) > 1 for part in zip(*parts, strict=True)]
    names = [
        "\n".join([verdict.contrast(r), *(text for text, tells in zip(texts, telling, strict=True) if tells)])
        for r, texts in zip(found, parts, strict=True)
    ]
    marks = [
        Mark(row, place, record["difference"], record[half], look(INK, "D", filled=not place))
        for row, record in enumerate(found)
        for place, half in enumerate(INTERVALS)
    ]
    figure, panels = style.canvas(1, 1, 0.2 + len(names) * 0.18 * max(2, 1 + sum(telling)))
    forest(panels[0][0], names, marks, len(INTERVALS), whole=True)
    panels[0][0].set_xlabel("difference (points)")
    style.legend(figure, [handle(name, filled=not place) for place, name in enumerate(INTERVALS.values())])
    return figure
