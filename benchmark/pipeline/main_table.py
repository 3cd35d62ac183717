"""The main table of a suite, in short, as a terminal shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmark.analysis import read_summary
from benchmark.analysis.groups import OVERALL
from benchmark.config.params import Params
from benchmark.files import share

ENTRY = ("granularity", "method", "variant", "weights", "target", "budget", "shots")
Record = Mapping[str, Any]


def show(console: Console, params: Params, suite: str, root: Path) -> None:
    """Print the main table in short: default variants, the headline's weights mode and shots."""
    summary = read_summary(root, suite)
    weights, shots = summary["headline"]["weights"], summary["headline"]["shots"]
    config = params.suites[suite]
    budgets = [1.0, *sorted(config.grid.budgets, reverse=True)]
    contributed = summary.get("contributed", [])
    cells = [*summary["cells"], *(cell for one in contributed for cell in one["cells"])]
    jobs = {tuple(job[name] for name in ENTRY): job for job in cells}
    methods = {method: method for method in params.methods_of(suite)}
    methods |= {one["method"]: f"{one['method']} (contributed)" for one in contributed}
    labels = [target.label for target in config.data.targets]
    for target in [*labels, *([OVERALL] if len(labels) > 1 else [])]:
        for granularity in config.grid.granularities:
            where = "over all targets" if target == OVERALL else f"on {target}"
            title = f"{suite}: accuracy {where}, {shots}-shot, {weights} weights, {granularity} units"
            console.print(title, soft_wrap=True)
            table = Table(box=None, padding=(0, 1, 0, 0))
            table.add_column("of the " + config.grid.costs[0], no_wrap=True)
            for budget in budgets:
                table.add_column(f"{share(budget)} %", justify="right", no_wrap=True)
            for method, name in methods.items():
                found = [jobs.get((granularity, method, "", weights, target, budget, shots)) for budget in budgets]
                if any(found):
                    table.add_row(name, *(_entry(job) for job in found))
            console.print(table)


def _entry(job: Record | None) -> str:
    if job is None:
        return ""
    # Short, so that a row fits 80 columns; the tables have the digits.
    half = "" if job["half"] is None else f"±{100 * job['half']:.0f}"
    return f"{100 * job['accuracy']:.1f}{half}"
