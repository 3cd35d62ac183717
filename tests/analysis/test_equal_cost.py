import math

import pytest
from hand_made import half_of, only, params_of, row, summarise
from hypothesis import given
from hypothesis import strategies as st

from benchmark.analysis.equal_cost import common_means

curves = st.dictionaries(st.integers(1, 50), st.floats(0, 1), min_size=2, max_size=5).map(
    lambda points: [*points.items()]
)


def test_curves_are_compared_over_the_range_that_both_reach():
    # From 10 to 100 both; in the log cost the first rises from 0.4 to 0.6 there, the second from 0.3 to 0.5.
    first = [(1, 0.2), (10, 0.4), (100, 0.6)]
    second = [(1000, 0.7), (10, 0.3), (100, 0.5)]
    assert common_means(first, second) == pytest.approx((0.5, 0.4))
    assert common_means([(1, 0.2), (10, 0.4)], [(10, 0.3), (100, 0.5)]) is None, "a point is no range"


def test_between_its_points_a_curve_is_a_line_in_the_log_cost():
    straight, bent = [(1, 0.0), (100, 1.0)], [(1, 0.0), (10, 0.0), (100, 1.0)]
    assert common_means(straight, bent) == pytest.approx((0.5, 0.25))
    assert common_means([(1, 0.0), (100, 0.9), (100, 1.1)], bent) == pytest.approx((0.5, 0.25))


@given(curves, curves, st.floats(0.1, 10))
def test_the_unit_of_the_cost_does_not_matter_and_sides_swap(first, second, unit):
    found = common_means(first, second)
    scaled = common_means([(unit * x, y) for x, y in first], [(unit * x, y) for x, y in second])
    if found is None:
        assert scaled is None
    else:
        assert scaled == pytest.approx(found, abs=1e-9)
        assert common_means(second, first) == pytest.approx(found[::-1], abs=1e-9)
        assert all(-1e-9 <= value <= 1 + 1e-9 for value in found)


def test_a_lead_at_equal_parameters_can_be_a_lag_at_equal_macs(tmp_path):
    """DAP's architectures cost ten times the MACs of the rival's, and are better by less than that buys."""
    budgets = [0.1, 0.01]
    rows = {
        method: [
            row(method, b, s, 0, a + lead + 0.01 * s, macs=round(factor * 1e6 * b))
            for b, a in zip(budgets, (0.8, 0.6), strict=True)
            for s in (0, 1, 2)
        ]
        for method, factor, lead in (("uniform", 1, 0.0), ("dap", math.sqrt(10), 0.02))
    }
    summary = summarise(tmp_path, rows, params_of(methods=["uniform", "dap"], transfer={"draws": 1}))
    assert only(summary["tests"], measure="area")["difference"] == pytest.approx(0.02)
    found = only(summary["equal_cost"], method="uniform")
    # A factor of ten is 0.2 in accuracy, its root 0.1: at equal MACs DAP has 0.02 - 0.1.
    assert (found["difference"], found["cost"], found["budgets"]) == (pytest.approx(-0.08, rel=1e-4), "macs", "all")
    assert (found["seeds"], found["half"]) == (3, pytest.approx(half_of(0.0), abs=1e-6))


def test_budgets_in_macs_are_compared_at_equal_parameters(tmp_path):
    rows = {m: [row(m, b, s, 0, 0.5, cost="macs") for b in (0.1, 0.01) for s in (0, 1, 2)] for m in ("uniform", "dap")}
    params = params_of(methods=["uniform", "dap"], grid={"costs": ["macs"]}, transfer={"draws": 1})
    assert {r["cost"] for r in summarise(tmp_path, rows, params)["equal_cost"]} == {"params"}
