"""Two contrasts by their areas: DAP against every rival, and inherited against fresh weights."""

from benchmark.analysis.areas import MEASURES, SMALL
from benchmark.analysis.conventions import REFERENCE
from benchmark.report.labels import label, percent, plural
from benchmark.report.table import Table, differences, p_values, words
from benchmark.report.view import Record, View

# The sets of budgets that areas are over, as a reader sees them.
BUDGETS = {"all": "all budgets", "small": f"{percent(SMALL)} and less"}


def rivals(view: View) -> Table:
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
    heads = [f"{label(REFERENCE)} minus rival, {BUDGETS[name]}" for name in sets]
    rows = [
        [granularity, method, *(tests.get(MEASURES[name]) for name in sets for _ in range(2))]
        for granularity in view.granularities
        for method in view.methods
        if (tests := found.get((granularity, method)))
    ]
    columns = [column for head in heads for column in (differences(head), p_values())]
    return Table([words("pruning"), words("rival", label), *columns], rows)


def gaps(view: View) -> Table:
    """Return each default variant's area with inherited minus its area with fresh weights, where the headline is."""
    where = (view.headline_target, view.headline_shots)
    found = [gap for gap in view.summary["gaps"] if _place(gap) == where and not gap["variant"]]
    columns = [words("pruning"), words("method", label), differences("inherit minus fresh (points)")]
    return Table(columns, [[gap["granularity"], gap["method"], gap] for gap in found])


def gap_legend(view: View) -> str:
    """Say what the gaps are."""
    return (
        "Area under accuracy over log complexity with the pruner's own weights minus the area of the same "
        f"architectures re-initialised, default variants, {view.setting}, paired by search seed, ± half width of the "
        "95 % interval. The larger, the more of the accuracy sits in the weights."
    )


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


def _place(record: Record) -> tuple[str, int]:
    return record["target"], record["shots"]
