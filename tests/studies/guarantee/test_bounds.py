"""The constants of docs/guarantee.md: closed forms, limits, and the inequalities of the proof, one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit

from benchmark.studies.guarantee import bounds
from benchmark.studies.guarantee.bounds import Setting, best_step, curvature, diameter, mirror, reach

RATIOS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def test_a_corner_is_ln_2_away_at_a_constant_slope() -> None:
    assert diameter(0.0) == math.log(2) == diameter(0.0, 3.0)
    assert diameter(1e-5) == pytest.approx(math.log(2), abs=1e-9)
    assert math.isinf(diameter(1.0))


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, 0.75])
def test_the_closed_form_is_the_integral_of_the_mirror_coordinate(ratio: float) -> None:
    integral, _ = quad(lambda a: mirror(math.log(a / (1 - a)), ratio), 0.5, 1.0, limit=500)
    assert diameter(ratio) == pytest.approx(integral, abs=1e-6)
    assert diameter(ratio, 200.0 / (1 - ratio)) == pytest.approx(diameter(ratio), rel=1e-6)
    assert diameter(ratio, 2.0) < diameter(ratio, 4.0) < diameter(ratio)


def test_the_corollaries_of_the_diameter() -> None:
    for far in (0.0, 0.5, 2.0, 8.0, 40.0):
        for ratio in RATIOS[1:]:
            smallest = 1 / math.cosh(ratio * far / 2) ** 2
            assert diameter(ratio, far) <= math.log(2) / smallest * (1 + 1e-9)
        assert diameter(1.0, far) <= far / 4 + 1
    for ratio in RATIOS[:-1]:
        assert diameter(ratio) <= math.log(2) / 2 + (1 / (1 - ratio) + 1) / 4


def test_the_curvature_by_hand() -> None:
    assert curvature(0.0) == 1
    assert curvature(1.0) == pytest.approx(27 / 16)
    assert curvature(0.5) == pytest.approx(32 / 27)  # (1 - x)(1 + x)^2 at x = 1/3
    x = np.linspace(0, 1, 100_001)
    for ratio in RATIOS:
        assert curvature(ratio) == pytest.approx(((1 - x) * (1 + x) ** 2 * (1 - (1 - 2 * ratio) * x)).max(), abs=1e-9)


def potential_bend(y: np.ndarray, u: float, ratio: float) -> np.ndarray:
    """4 c^2 F''(y), from F' = (a - u) cosh^2(ratio y / 2) by the product rule."""
    a, c = expit(y), 1 / np.cosh(ratio * y / 2) ** 2
    return 4 * c**2 * (a * (1 - a) / c + (a - u) * ratio * np.sinh(ratio * y) / 2)


def test_the_potential_bends_no_more_than_the_curvature() -> None:
    y = np.linspace(-40, 40, 40_001)
    for ratio in RATIOS:
        most = max(potential_bend(y, u, ratio).max() for u in (0.0, 0.3, 1.0))
        assert most <= curvature(ratio) * (1 + 1e-9)
    # At both ends of the range no smaller constant would do.
    assert potential_bend(y, 0.0, 1.0).max() == pytest.approx(27 / 16, abs=1e-6)
    assert potential_bend(y, 0.0, 0.0).max() == pytest.approx(1.0, abs=1e-6)


def entropy(a: np.ndarray) -> np.ndarray:
    return a * np.log(a) + (1 - a) * np.log(1 - a)


def test_the_entropy_is_strongly_convex_with_constant_four() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.uniform(1e-6, 1 - 1e-6, (2, 100_000))
    divergence = entropy(a) - entropy(b) - np.log(b / (1 - b)) * (a - b)
    assert (divergence >= 2 * (a - b) ** 2 - 1e-12).all()
    # A larger constant would be wrong, near the middle.
    a, b = 0.5 + draw.uniform(-0.01, 0.01, (2, 1000))
    divergence = entropy(a) - entropy(b) - np.log(b / (1 - b)) * (a - b)
    assert (divergence < 2.01 * (a - b) ** 2 + 1e-15).mean() > 0.9


@given(st.floats(0, 1), st.floats(0, 30))
def test_reach_inverts_the_mirror_coordinate(ratio: float, logit: float) -> None:
    ratio = 0.0 if ratio < 1e-3 else ratio
    assert reach(mirror(logit, ratio), ratio) == pytest.approx(logit, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 1), st.floats(-8, 8), st.floats(-2, 2), st.floats(0, 1), st.floats(0.01, 0.8))
def test_one_step_of_the_proof(ratio: float, logit: float, gradient: float, u: float, eta: float) -> None:
    """The regret of a step is at most what the potential loses, plus the step's error."""
    ratio = 0.0 if ratio < 1e-3 else ratio

    def bent(y: float) -> float:
        return math.cosh(ratio * y / 2) ** 2

    after = logit - eta * gradient / bent(logit)
    lost, _ = quad(lambda y: (expit(y) - u) * bent(y), after, logit)
    error = eta**2 * gradient**2 * math.exp(2 * eta * abs(gradient) * ratio) * curvature(ratio) / 8
    assert eta * gradient * (expit(logit) - u) <= lost + error + 1e-9


def test_units_decide_no_faster_than_stated() -> None:
    """min(a, 1 - a) >= (1 + 4 alpha S)^(-1 / alpha) / 2, S the distance travelled in the mirror coordinate."""
    for ratio in RATIOS[1:]:
        for travelled in (0.1, 1.0, 10.0, 1e3, 1e6):
            share = float(expit(-reach(travelled, ratio)))
            assert share >= (1 + 4 * ratio * travelled) ** (-1 / ratio) / 2
    assert float(expit(-reach(5.0, 0.0))) >= math.exp(-5) / 2


def test_the_bound_at_its_best_step_by_hand() -> None:
    units, size, steps = 9, 2.5, 400
    step = best_step(units, 0.0, size, 1.0, steps)
    assert step == pytest.approx(math.sqrt(8 * units * math.log(2) / steps) / size)
    bound = Setting(units, step, 0.0, size, 1.0).bound(steps)
    assert bound == pytest.approx(size * math.sqrt(units * math.log(2) / (2 * steps)))
    assert bounds.smooth_bound(units, bounds.smooth_step(0.5), steps) == pytest.approx(
        units * 0.5 * math.log(2) / (4 * steps)
    )


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
def test_no_other_step_has_a_smaller_bound(ratio: float) -> None:
    step = best_step(16, ratio, 1.0, 0.5, 1000)
    best = Setting(16, step, ratio, 1.0, 0.5).bound(1000)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert Setting(16, factor * step, ratio, 1.0, 0.5).bound(1000) >= best * (1 - 1e-6)
    assert best > Setting(16, step, 0.0, 1.0, 0.5).bound(1000)


def test_a_step_far_too_long_has_no_bound() -> None:
    assert math.isinf(Setting(4, 1000.0, 0.5, 1.0, 1.0).bound(10))
    assert math.isfinite(Setting(4, 1000.0, 0.0, 1.0, 1.0).bound(10))
