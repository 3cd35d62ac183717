"""The one table of the report: columns, and rows of values. `benchmark.report.render` shows it in four formats."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.analysis.comparisons import Mark
from benchmark.report.labels import p_text, points


@dataclass(frozen=True)
class Cell:
    """A text that stands out: the `best` in bold, what is `unresolved` from it with a dagger; or one with a link."""

    text: str
    mark: Mark = ""
    link: str = ""


Format = Callable[[Any], str | Cell | None]


@dataclass(frozen=True)
class Column:
    """A heading, the side to which a column is aligned (words left, numbers right), and how a value is shown.

    `format` may return None too: the value says nothing.
    """

    head: str
    align: Literal["l", "r"] = "r"
    format: Format = str


@dataclass(frozen=True)
class Table:
    """Rows of values, one per column; None where there is no value.

    `levels` stand below the rows, with which they do not compete. One with two values only, a name and a number,
    belongs to no column. `variants` are the places of the rows that are variants of a row above them.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    levels: Sequence[Sequence[Any]] = ()
    variants: Collection[int] = ()

    @property
    def heads(self) -> list[str]:
        """The columns' headings."""
        return [column.head for column in self.columns]

    def shown(self, values: Sequence[Any]) -> list[Cell | None]:
        """Return a row's values as its columns show them."""
        found = [None if v is None else column.format(v) for column, v in zip(self.columns, values, strict=False)]
        return [Cell(one) if isinstance(one, str) else one for one in found]

    @property
    def texts(self) -> list[list[str | None]]:
        """The rows as text, without marks."""
        return [[None if cell is None else cell.text for cell in self.shown(row)] for row in self.rows]


def words(head: str, format: Format = str) -> Column:
    """Return a column of words."""
    return Column(head, "l", format)


def differences(head: str, half: str = "half") -> Column:
    """Return a column of differences in points; its values are records with `difference` and the half width `half`."""
    return Column(head, format=lambda r: None if r["difference"] is None else points(r["difference"], r[half]))


def p_values(head: str = "p (Holm)") -> Column:
    """Return a column of p-values after Holm's correction; its values are records with `p_holm`."""
    return Column(head, format=lambda r: None if r["p_holm"] is None else p_text(r["p_holm"]))


def of_records(records: Sequence[Mapping[str, Any]], names: Iterable[str] = ()) -> Table:
    """Return records as a table with a column per field, the values as they are.

    The fields are `names`, or else all of the records in order of appearance without those that hold lists. What a
    record lacks is None.
    """
    found = dict.fromkeys(key for record in records for key, value in record.items() if not isinstance(value, list))
    fields = list(names) or list(found)
    return Table([words(name) for name in fields], [[record.get(name) for name in fields] for record in records])
