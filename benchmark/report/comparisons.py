"""Two contrasts in one number each: DAP against every rival, and inherited against fresh weights."""

from dataclasses import dataclass
from typing import Any

from benchmark.report.labels import NBSP, label, plural, points
from benchmark.report.view import View
from benchmark.stats.summary import REFERENCE


@dataclass(frozen=True)
class Comparison:
    """A paired difference of areas in points, with its interval and Holm's p-value, as text."""

    part: str
    method: str
    difference: str
    p: str


def rivals(view: View) -> list[Comparison]:
    """Return the reference's area minus each rival's (family `methods`), where the headline is."""
    return [
        _comparison(test)
        for test in view.summary["tests"]
        if test["measure"] == "area"
        and test["family"] == "methods"
        and (test["weights"], *_place(test)) == (view.headline_weights, view.headline_target, view.headline_shots)
    ]


def gaps(view: View) -> list[Comparison]:
    """Return each default variant's area with inherited minus its area with fresh weights, where the headline is."""
    where = (view.headline_target, view.headline_shots)
    return [_comparison(gap) for gap in view.summary["gaps"] if _place(gap) == where and not gap["variant"]]


def gap_legend(view: View) -> str:
    """Say what the gaps are."""
    return (
        "Area under accuracy over log complexity with the pruner's own weights minus the area of the same "
        f"architectures re-initialised, default variants, {view.setting}, paired by search seed, ± half width of the "
        "95 % interval. The larger, the more of the accuracy sits in the weights."
    )


def markdown(view: View) -> str:
    """Return the rivals as a Markdown table; empty when there are none."""
    found = rivals(view)
    if not found:
        return ""
    name = label(REFERENCE)
    lines = [f"| pruning | rival | {name} minus rival (points) | p (Holm) |", "|:--|:--|--:|--:|"]
    return "\n".join([*lines, *(f"| {c.part} | {c.method} | {c.difference} | {c.p} |" for c in found)])


def legend(view: View) -> str:
    """Say what the comparisons with rivals are."""
    name = label(REFERENCE)
    return (
        f"Difference of areas (mean accuracy over log complexity), {name} minus rival, {view.setting}, paired by "
        "search seed, ± half width of its 95 % interval; two-sided paired t test over "
        f"{plural(len(view.seeds), 'seed')}, Holm's correction over the default variants of all rivals "
        "at the same granularity, target, shots and weights mode. "
        f"Positive: {name} is better."
    )


def p_text(p: float | None) -> str:
    """Return a p-value with two digits, "< 0.001" below that, "–" where there is none."""
    if p is None:
        return "–"
    return "<" + NBSP + "0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _place(record: dict[str, Any]) -> tuple[str, int]:
    return record["target"], record["shots"]


def _comparison(record: dict[str, Any]) -> Comparison:
    text = points(record["difference"], record["half"])
    return Comparison(record["granularity"], label(record["method"]), text, p_text(record.get("p_holm")))
