"""The accuracy table: methods x budgets at one granularity, weights mode, target and number of shots."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.analysis.intervals import mark_best
from benchmark.report.labels import FLOORS, NBSP, label, percent
from benchmark.report.markdown import table
from benchmark.report.view import Record, View

DAGGER = "†"
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
    """A mean and its interval's half width in percent; `mark` is "best", "unresolved" or ""."""

    mean: float
    half: float | None
    mark: str = ""

    @property
    def text(self) -> str:
        """The entry in plain text, "86.4 ± 1.2", joined by no-break spaces."""
        return f"{self.mean:.1f}" if self.half is None else f"{self.mean:.1f}{NBSP}±{NBSP}{self.half:.1f}"


@dataclass(frozen=True)
class TableRow:
    """One method (variant): an entry per budget, then the area; None where rows are absent."""

    method: str
    variant: str
    entries: list[Entry | None]

    @property
    def label(self) -> str:
        """The method's display name."""
        return label(self.method, self.variant)


@dataclass(frozen=True)
class Table:
    """The rows at one granularity, weights mode, target and number of shots.

    `levels` are the accuracies that belong to no budget, by name: the dense control first, then its floors. `smallest`
    has for every column the smallest difference from the reference that could be seen, in points.
    """

    target: str
    granularity: str
    weights: str
    shots: int
    columns: list[str]
    levels: dict[str, Entry]
    rows: list[TableRow]
    smallest: list[float | None]


def accuracy_table(
    view: View, target: str, granularity: str, weights: str, shots: int, entries: Sequence[tuple[str, str]]
) -> Table:
    """Return the table of the given (method, variant) pairs; methods without any rows are left out."""
    grid: list[list[Record | None]] = []
    named = []
    for method, variant in entries:
        cells = [view.cell(granularity, method, variant, weights, target, budget, shots) for budget in view.budgets]
        if any(cells):
            named.append((method, variant))
            grid.append([*cells, view.area(granularity, method, variant, weights, target, shots)])
    marks = [mark_best([_by_seed(row[c], view.seeds) for row in grid]) for c in range(len(view.budgets) + 1)]
    rows = [
        TableRow(method, variant, [_entry(record, marks[c][r]) for c, record in enumerate(grid[r])])
        for r, (method, variant) in enumerate(named)
    ]
    columns = [*(percent(budget) for budget in view.budgets), "area"]
    smallest = view.smallest_differences(granularity, weights, target, shots)
    levels = _levels(view, target, granularity, weights, shots)
    return Table(target, granularity, weights, shots, columns, levels, rows, [half and 100 * half for half in smallest])


def _levels(view: View, target: str, granularity: str, weights: str, shots: int) -> dict[str, Entry]:
    chance = view.chance(target, shots)
    found = {
        DENSE_LEVEL: _entry(view.dense(granularity, weights, target, shots)),
        DENSE_SCRATCH: _entry(view.dense(granularity, "scratch", target, shots)) if weights != "scratch" else None,
        **{name: _entry(view.floors(target, shots).get(measure)) for measure, name in FLOORS.items()},
        "guessing": Entry(100 * chance, None) if chance is not None else None,
    }
    return {name: entry for name, entry in found.items() if entry is not None}


def headline_tables(view: View, targets: Sequence[str], with_variants: bool) -> list[tuple[str, Table]]:
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


def markdown(found: Table) -> str:
    """Return the table in Markdown, without a heading; what belongs to no budget is in a line below it."""
    rows = [[row.label, *map(markdown_entry, row.entries)] for row in found.rows]
    if any(half is not None for half in found.smallest):
        rows.append([f"*{SMALLEST}*", *map(smallest_text, found.smallest)])
    text = table(["method", *found.columns], rows)
    below = "; ".join(f"{name}: {entry.text}" for name, entry in found.levels.items())
    return text + (f"\n\n{below[0].upper()}{below[1:]}." if below else "")


def smallest_text(half: float | None) -> str:
    """Return the smallest difference of a column as text."""
    return "–" if half is None else f"{half:.1f}"


def markdown_entry(entry: Entry | None) -> str:
    """Return an entry in Markdown: the best in bold, those not resolved from it marked, a dash for None."""
    if entry is None:
        return "–"
    if entry.mark == "best":
        return f"**{entry.text}**"
    return entry.text + (NBSP + DAGGER if entry.mark else "")


def _by_seed(record: Record | None, seeds: Sequence[int]) -> dict[int, float] | None:
    if record is None:
        return None
    return {seed: value for seed, value in zip(seeds, record["by_seed"], strict=True) if value is not None}


def _entry(record: Record | None, mark: str = "") -> Entry | None:
    if record is None:
        return None
    return Entry(100 * record["accuracy"], None if record["half"] is None else 100 * record["half"], mark)
