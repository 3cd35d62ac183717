"""The accuracy table: methods x budgets at one granularity, weights mode, target and number of shots."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.analysis.comparisons import Mark, by_seed, mark_best
from benchmark.report.labels import DAGGER, FLOORS, NBSP, label, percent, percents
from benchmark.report.table import Cell, Column, Table, words
from benchmark.report.view import Record, View

DENSE_LEVEL = f"dense (100{NBSP}%)"
DENSE_SCRATCH = f"dense (100{NBSP}%), in scratch"
SMALLEST = "smallest difference that could be seen"
MEANS = "Percent, mean over search seeds ± half width of the 95 % interval (k-shot draws are averaged within a seed)."
MARKS = (
    f"Bold: best mean of the column. {DAGGER}: not resolved from it: the 95 % interval of the difference, paired by "
    "seed, contains zero or cannot be computed from fewer than three seeds; not corrected for multiplicity."
)
AREA = "Area: mean accuracy over the logarithm of the achieved complexity."
SEEN = (
    "Smallest difference that could be seen: the half width of the 95 % interval of DAP's difference from a rival, "
    "median over rivals, in points; a true difference of that size is resolved about every other time."
)
LEGEND = f"{MEANS} {MARKS} {AREA} {SEEN}"


@dataclass(frozen=True)
class Entry:
    """A mean and its interval's half width as shares; `mark` as in `Cell`."""

    mean: float
    half: float | None = None
    mark: Mark = ""

    @property
    def cell(self) -> Cell:
        """The entry in percent, as a table shows it."""
        return Cell(percents(self.mean, self.half), self.mark)


@dataclass(frozen=True)
class MethodRow:
    """One method (variant): an entry per budget, then the area; None where rows are absent."""

    method: str
    variant: str
    entries: list[Entry | None]


@dataclass(frozen=True)
class AccuracyTable:
    """The rows at one granularity, weights mode, target and number of shots.

    `levels` are the accuracies that belong to no budget, by name: the dense control first, then its floors. `smallest`
    has for every column the smallest difference from the reference that could be seen.
    """

    target: str
    granularity: str
    weights: str
    shots: int
    columns: list[str]
    levels: dict[str, Entry]
    rows: list[MethodRow]
    smallest: list[Entry | None]

    @property
    def table(self) -> Table:
        """The table as it is shown: below the methods what belongs to no budget, then what could be seen."""
        levels = [*self.levels.items(), *([(SMALLEST, *self.smallest)] if any(self.smallest) else [])]
        return Table(
            [words("method"), *map(accuracies, self.columns)],
            [[label(row.method, row.variant), *row.entries] for row in self.rows],
            levels,
            {place for place, row in enumerate(self.rows) if row.variant},
        )


def accuracies(head: str) -> Column:
    """Return a column of entries."""
    return Column(head, format=lambda entry: entry.cell)


def accuracy_table(
    view: View, target: str, granularity: str, weights: str, shots: int, entries: Sequence[tuple[str, str]]
) -> AccuracyTable:
    """Return the table of the given (method, variant) pairs; methods without any rows are left out."""
    grid: list[list[Record | None]] = []
    named = []
    for method, variant in entries:
        cells = [view.cell(granularity, method, variant, weights, target, budget, shots) for budget in view.budgets]
        if any(cells):
            named.append((method, variant))
            grid.append([*cells, view.area(granularity, method, variant, weights, target, shots)])
    marks = [mark_best([cell and by_seed(cell, view.seeds) for cell in column]) for column in zip(*grid, strict=True)]
    rows = [
        MethodRow(method, variant, [_entry(record, marks[c][r]) for c, record in enumerate(grid[r])])
        for r, (method, variant) in enumerate(named)
    ]
    columns = [*(percent(budget) for budget in view.budgets), "area"]
    smallest = [
        None if half is None else Entry(half) for half in view.smallest_differences(granularity, weights, target, shots)
    ]
    levels = _levels(view, target, granularity, weights, shots)
    return AccuracyTable(target, granularity, weights, shots, columns, levels, rows, smallest)


def _levels(view: View, target: str, granularity: str, weights: str, shots: int) -> dict[str, Entry]:
    chance = view.chance(target, shots)
    found = {
        DENSE_LEVEL: _entry(view.dense(granularity, weights, target, shots)),
        DENSE_SCRATCH: _entry(view.dense(granularity, "scratch", target, shots)) if weights != "scratch" else None,
        **{name: _entry(view.floors(target, shots).get(measure)) for measure, name in FLOORS.items()},
        "guessing": Entry(chance) if chance is not None else None,
    }
    return {name: entry for name, entry in found.items() if entry is not None}


def headline_tables(view: View, targets: Sequence[str], with_variants: bool) -> list[tuple[str, AccuracyTable]]:
    """Return title and table per granularity of these targets, at the headline's weights mode and shots.

    Those without rows there are left out: a target may lack the number of shots.
    """
    found = []
    for target, granularity, title in view.parts():
        entries = [entry for entry in view.entries(granularity) if with_variants or not entry[1]]
        where = (target, granularity, view.headline_weights, view.headline_shots)
        made = accuracy_table(view, *where, entries)
        if target in targets and (made.rows or made.levels):
            found.append((f"{title} pruning", made))
    return found


def _entry(record: Record | None, mark: Mark = "") -> Entry | None:
    return None if record is None else Entry(record["accuracy"], record["half"], mark)
