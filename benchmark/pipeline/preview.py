"""A table of accuracies straight from the store, before any analysis: what a run beside the grid is looked at by."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table

from benchmark.files import share
from benchmark.pipeline.collect import rows_of
from benchmark.pipeline.plan import Plan


def preview(plan: Plan, methods: Sequence[str], console: Console) -> None:
    """Print the mean accuracy over targets, seeds and episodes, a row per method, variant and kind of unit.

    Shown are the first weights mode, the suite's first measure and its middle number of shots.
    """
    config = plan.config
    weights, measure = config.transfer.weights[0], config.transfer.first_measure
    shots = sorted(config.transfer.shots)[len(config.transfer.shots) // 2]
    found: dict[tuple[str, str, str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for method in methods:
        for row in rows_of(plan, method):
            if (row.weights, row.measure, row.shots, row.arm) == (weights, measure, shots, ""):
                found[method, row.variant, row.granularity, row.cost][row.budget].append(row.accuracy)
    budgets = sorted({budget for by_budget in found.values() for budget in by_budget}, reverse=True)
    # A table's own title would be broken to the width of its columns.
    console.print(f"{plan.suite}: {measure}, {shots}-shot, {weights} weights, mean", soft_wrap=True)
    table = Table(box=None)
    for column in ("method", "units", "cost", *(f"{share(budget)} %" for budget in budgets)):
        table.add_column(column, justify="left" if column in ("method", "units", "cost") else "right")
    for (method, variant, granularity, cost), by_budget in found.items():
        means = (f"{100 * fmean(by_budget[budget]):.1f}" if budget in by_budget else "" for budget in budgets)
        table.add_row(f"{method} {variant}".strip(), granularity, cost, *means)
    console.print(table)
