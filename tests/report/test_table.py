"""The one table, by hand."""

from benchmark.report.labels import MINUS, NBSP
from benchmark.report.table import Cell, Column, Table, differences, of_records, p_values, words


def test_a_column_shows_values_and_nothing_where_there_is_none() -> None:
    table = Table([words("name", str.upper), Column("share", format="{:.1f}".format)], [["a", 0.25], ["b", None]])
    assert table.heads == ["name", "share"] and [column.align for column in table.columns] == ["l", "r"]
    assert table.texts == [["A", "0.2"], ["B", None]]


def test_a_format_may_mark_a_cell_or_say_that_a_value_says_nothing() -> None:
    best = Column("x", format=lambda x: None if x < 0 else Cell(str(x), "best" if x > 1 else ""))
    shown = Table([best] * 3, []).shown([2, 1, -1])
    assert shown == [Cell("2", "best"), Cell("1"), None]


def test_differences_and_p_values_are_read_from_one_record() -> None:
    record = {"difference": -0.0312, "half": 0.01, "joint_half": 0.02, "p_holm": 0.0004}
    untested = {"difference": None, "half": None, "joint_half": None, "p_holm": None}
    columns = [differences("d"), differences("d, joint", "joint_half"), p_values()]
    assert Table(columns, [[record] * 3, [untested] * 3, [None] * 3]).texts == [
        [f"{MINUS}3.1{NBSP}±{NBSP}1.0", f"{MINUS}3.1{NBSP}±{NBSP}2.0", f"<{NBSP}0.001"],
        [None] * 3,
        [None] * 3,
    ]


def test_records_are_a_table_of_their_fields_without_lists() -> None:
    table = of_records([{"a": 1, "by_seed": [1, 2]}, {"a": 0.1, "b": None}, {"b": True}])
    assert table.heads == ["a", "b"]
    assert table.texts == [["1", None], ["0.1", None], [None, "True"]]
