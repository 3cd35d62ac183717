"""The one comparison, by hand."""

import ast
from pathlib import Path

import pytest

from benchmark.analysis.comparisons import Contrast, against_best, by_seed, compare, records
from benchmark.analysis.intervals import holm, paired


def contrast(name: str, first: list[float], second: list[float], family: object = None) -> Contrast:
    return Contrast({"name": name}, dict(enumerate(first)), dict(enumerate(second)), family)


def test_a_difference_by_hand() -> None:
    (found,) = compare([contrast("a", [0.5, 0.7, 0.9], [0.4, 0.5, 0.6])])
    # Differences 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, t(2, 97.5 %) = 4.302653.
    assert (found.first, found.second) == pytest.approx((0.7, 0.5))
    assert found.test.mean == pytest.approx(0.2)
    assert found.test.half == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    assert found.record("ours", "theirs") == {
        "name": "a",
        "ours": found.first,
        "theirs": found.second,
        "difference": found.test.mean,
        "half": found.test.half,
        "seeds": 3,
        "p": found.test.p,
        "p_holm": found.test.p,
    }
    assert set(found.record(corrected=False)) == {"name", "difference", "half", "seeds", "p"}


def test_means_and_difference_are_over_common_seeds() -> None:
    (found,) = compare([Contrast({}, {0: 0.5, 1: 0.6, 7: 1.0}, {1: 0.1, 0: 0.2, 9: 0.0})])
    assert (found.first, found.second) == pytest.approx((0.55, 0.15)) and found.test.n == 2
    assert found.test.mean == pytest.approx(found.first - found.second)


def test_sides_without_a_common_seed_are_left_out_and_do_not_count() -> None:
    close = [contrast(name, [0.50, 0.52, 0.55], [0.49, 0.50, 0.50 + shift]) for name, shift in (("a", 0), ("b", 0.01))]
    apart = Contrast({"name": "c"}, {0: 0.1}, {1: 0.2})
    found = compare([close[0], apart, close[1]])
    assert [one.place["name"] for one in found] == ["a", "b"] and {one.family_size for one in found} == {2}


def test_holm_runs_within_a_family() -> None:
    sides = {"a": [0.9, 0.8, 0.95], "b": [0.7, 0.75, 0.71], "c": [0.6, 0.66, 0.7], "d": [0.65, 0.6, 0.61]}
    base = [0.6, 0.61, 0.59]
    contrasts = [contrast(name, side, base, family=name < "c") for name, side in sides.items()]
    found = {one.place["name"]: one for one in compare(contrasts)}
    for family in ("ab", "cd"):
        raw = [paired(dict(enumerate(sides[name])), dict(enumerate(base))).p for name in family]
        assert [found[name].p_holm for name in family] == holm(raw)
    # Families come in the order of their first members.
    assert list(found) == ["a", "b", "c", "d"]


def test_records_keep_their_order_and_have_nulls_where_no_seed_is_shared() -> None:
    apart = Contrast({"name": "a"}, {0: 0.1}, {1: 0.2}, family="x")
    close = contrast("b", [0.5, 0.7, 0.9], [0.4, 0.5, 0.6], family="y")
    nothing, found = records([apart, close], "ours", "theirs", joint=True)
    assert set(nothing) == set(found) and {v for k, v in nothing.items() if k != "name"} == {None}
    # A family of one: the joint interval is its own.
    assert found["joint_half"] == pytest.approx(found["half"]) and found["ours"] == pytest.approx(0.7)


def test_the_best_is_compared_with_no_one() -> None:
    best, near, far = ({0: a, 1: b, 2: c} for a, b, c in ((0.9, 0.8, 0.7), (0.8, 0.85, 0.6), (0.1, 0.02, 0.0)))
    marks, tests = zip(*against_best([near, best, None, far, {9: 0.1}]), strict=True)
    assert marks == ("unresolved", "best", "", "", "unresolved")
    assert [test and test.mean for test in tests] == pytest.approx([0.05, None, None, 0.76, None])
    assert against_best([]) == []


def test_values_of_a_record_by_seed() -> None:
    assert by_seed({"by_seed": [0.1, None, 0.3]}, [4, 5, 6]) == {4: 0.1, 6: 0.3}


def test_nothing_else_computes_a_comparison() -> None:
    folder = Path(__file__).parents[2] / "benchmark"
    own = {"paired", "holm", "joint_half"}
    for path in folder.rglob("*.py"):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module == "benchmark.analysis.intervals"
            for alias in node.names
        }
        assert path.name == "comparisons.py" or not imported & own, path
