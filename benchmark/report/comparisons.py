"""Two contrasts by their areas: DAP against every rival, and inherited against fresh weights."""

from dataclasses import dataclass

from benchmark.analysis.areas import MEASURES, SMALL
from benchmark.analysis.summary import REFERENCE
from benchmark.report.labels import NBSP, label, percent, plural, points
from benchmark.report.markdown import table
from benchmark.report.view import Record, View

# The sets of budgets that areas are over, as a reader sees them.
BUDGETS = {"all": "all budgets", "small": f"{percent(SMALL)} and less"}


@dataclass(frozen=True)
class Contrast:
    """A row per granularity and method: paired differences of areas in points with their intervals, as text."""

    heads: list[str]
    rows: list[list[str]]


def rivals(view: View) -> Contrast:
    """Return the reference's areas minus each rival's (family `methods`), where the headline is, with Holm's p-values.

    Over all budgets and, where the suite has them, over the small ones.
    """
    place = (view.headline_weights, view.headline_target, view.headline_shots)
    found: dict[tuple[str, str], dict[str, Record]] = {}
    for test in view.summary["tests"]:
        of_areas = test["family"] == "methods" and test["measure"] in MEASURES.values()
        if of_areas and (test["weights"], *_place(test)) == place:
            found.setdefault((test["granularity"], test["method"]), {})[test["measure"]] = test
    sets = [name for name, measure in MEASURES.items() if any(measure in tests for tests in found.values())]
    heads = [head for name in sets for head in (f"{label(REFERENCE)} minus rival, {BUDGETS[name]}", "p (Holm)")]
    rows = [
        [granularity, label(method), *(text for name in sets for text in _test(tests.get(MEASURES[name])))]
        for granularity in view.granularities
        for method in view.methods
        if (tests := found.get((granularity, method)))
    ]
    return Contrast(["pruning", "rival", *heads], rows)


def gaps(view: View) -> Contrast:
    """Return each default variant's area with inherited minus its area with fresh weights, where the headline is."""
    where = (view.headline_target, view.headline_shots)
    found = [gap for gap in view.summary["gaps"] if _place(gap) == where and not gap["variant"]]
    rows = [[gap["granularity"], label(gap["method"]), points(gap["difference"], gap["half"])] for gap in found]
    return Contrast(["pruning", "method", "inherit minus fresh (points)"], rows)


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
    return table(found.heads, found.rows, words=2) if found.rows else ""


def legend(view: View) -> str:
    """Say what the comparisons with rivals are."""
    name = label(REFERENCE)
    return (
        f"Difference of areas (mean accuracy over log complexity) in points, {name} minus rival, {view.setting}, "
        "paired by search seed, ± half width of its 95 % interval; two-sided paired t test over "
        f"{plural(len(view.seeds), 'seed')}, Holm's correction over the default variants of all rivals "
        "at the same granularity, target, shots, weights mode and set of budgets. "
        f"Positive: {name} is better."
    )


def p_text(p: float | None) -> str:
    """Return a p-value with two digits, "< 0.001" below that, "–" where there is none."""
    if p is None:
        return "–"
    return "<" + NBSP + "0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _place(record: Record) -> tuple[str, int]:
    return record["target"], record["shots"]


def _test(test: Record | None) -> list[str]:
    return [points(test["difference"], test["half"]), p_text(test["p_holm"])] if test else ["–", "–"]
