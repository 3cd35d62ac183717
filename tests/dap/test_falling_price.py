"""The budget that a price follows, by hand."""

import math

import pytest

from benchmark.dap.cost_weight import DualAscent
from benchmark.dap.falling_price import FallingPrice


def test_a_falling_budget_by_hand() -> None:
    price = FallingPrice(DualAscent(rate=0.0, damping=2.0), end=0.125, start=0.5, hold=0.5)
    # Two of four steps fall: 1/4, 1/8, and then it is held.
    assert [price(0.25, step, 4) for step in range(4)] == pytest.approx([0, *[2 * math.log(2)] * 3])


def test_a_budget_may_rise() -> None:
    price = FallingPrice(DualAscent(rate=0.0, damping=1.0), end=0.4, start=0.1, hold=0.0)
    assert [price(0.4, step, 2) for step in range(2)] == pytest.approx([math.log(2), 0])


def test_the_multiplier_is_remembered() -> None:
    price = FallingPrice(DualAscent(rate=1.0, damping=0.0), end=0.5, hold=0.9)
    assert [price(1.0, step, 10) for step in range(3)] == pytest.approx([k * math.log(2) for k in (1, 2, 3)])
