"""The multiplier and the falling budget, by hand."""

import math

import pytest

from benchmark.dap.cost_weight import DualAscent, Penalty, falling_budget


def test_dual_ascent_by_hand() -> None:
    dual = DualAscent(rate=0.5, damping=2.0)
    # An excess of ln 2: the multiplier rises by half of it, the weight adds twice of it.
    assert dual.weight(0.8, 0.4, 0.5) == pytest.approx(2.5 * math.log(2))
    assert dual.multiplier == pytest.approx(0.5 * math.log(2))
    # At the budget nothing moves.
    assert dual.weight(0.4, 0.4, 0.5) == pytest.approx(0.5 * math.log(2))
    assert dual.multiplier == pytest.approx(0.5 * math.log(2))
    # Half a doubling below: the multiplier falls by a quarter of ln 2, and damping outweighs it.
    assert dual.weight(0.4 / math.sqrt(2), 0.4, 0.5) == 0
    assert dual.multiplier == pytest.approx(0.25 * math.log(2))
    # Far below it stops at zero: the complexity is never rewarded.
    assert dual.weight(0.01, 0.4, 0.5) == 0 and dual.multiplier == 0


def test_an_excess_weighs_the_same_at_every_budget() -> None:
    weights = [DualAscent(0.2, 5.0).weight(1.1 * budget, budget, 0.5) for budget in (0.5, 0.01)]
    assert weights[0] == pytest.approx(weights[1])


def test_falling_budget_by_hand() -> None:
    # Eight of ten steps fall, each by the eighth root of 1/256: 1/2, 1/4, ...; then it is held.
    budgets = [falling_budget(step, 10, 1 / 256, hold=0.2) for step in range(10)]
    assert budgets == pytest.approx([2.0**-k for k in (1, 2, 3, 4, 5, 6, 7, 8, 8, 8)])
    assert falling_budget(0, 1, 0.3, hold=0.0) == pytest.approx(0.3)
    assert falling_budget(0, 1, 0.3, hold=0.9) == pytest.approx(0.3)
    assert falling_budget(9, 10, 0.3, hold=0.0) == pytest.approx(0.3)


def test_a_penalty_rises_evenly_and_looks_at_nothing() -> None:
    penalty = Penalty(8.0)
    assert [penalty.weight(0.9, 0.1, share) for share in (0.25, 0.5, 1.0)] == [2, 4, 8]
    assert penalty.multiplier == 8 and penalty.weight(0.001, 0.5, 0.5) == 4
