"""The two-temperature relaxation: its gates and slope, and what its update is at a constant slope."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import Tensor

from benchmark.dap.relaxation import gates, slope, undecided


def test_the_hard_step_is_the_limit_of_the_forward_gates() -> None:
    logits = torch.tensor([-2.0, -0.01, 0.0, 0.01, 2.0])
    assert gates(logits, 0.0).tolist() == [0, 0, 0, 1, 1]
    assert gates(logits, 0.0).dtype == logits.dtype
    torch.testing.assert_close(gates(logits, 1e-4), torch.tensor([0, 0, 0.5, 1, 1]))
    # sigma(2 / 0.5) = 1 / (1 + e^-4)
    assert float(gates(logits, 0.5)[4]) == pytest.approx(1 / (1 + math.exp(-4)))


def test_the_slope_is_the_derivative_at_the_high_temperature() -> None:
    logits = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    for high in (0.5, 1.0, 3.0):
        (expected,) = torch.autograd.grad(torch.sigmoid(logits / high).sum(), logits)
        torch.testing.assert_close(slope(logits, high).detach(), expected)
    # sigma'(0) = 1/4; sigma'(ln 3) = 3/4 * 1/4.
    found = slope(torch.tensor([0.0, 2 * math.log(3)]), 2.0)
    torch.testing.assert_close(found, torch.tensor([1 / 8, 3 / 32]))


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=5))
def test_units_that_are_off_have_the_slope_of_those_as_far_on(values: list[float]) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    assert bool((slope(logits, 2.0) > 0).all())
    torch.testing.assert_close(slope(logits, 2.0), slope(-logits, 2.0), rtol=1e-6, atol=0)


def test_undecided_by_hand() -> None:
    # sigma(x) lies in (0.05, 0.95) for |x| < ln 19 = 2.944.
    logits = torch.tensor([-2.95, -2.94, 0.0, 2.94, 2.95])
    assert undecided(logits, 1.0) == pytest.approx(3 / 5)
    assert undecided(2 * logits, 1.0) == pytest.approx(1 / 5)
    assert undecided(2 * logits, 2.0) == pytest.approx(3 / 5)


def entropy(a: float, tau: float) -> float:
    return tau * (a * math.log(a) + (1 - a) * math.log(1 - a))


@pytest.mark.parametrize("tau", [0.3, 1.0, 2.5])
def test_at_a_constant_slope_the_update_is_mirror_descent(tau: float) -> None:
    """For tau_high to infinity: argmin over a of eta g a + D(a, a_t) per coordinate, D the entropy's divergence."""
    high, eta = 1e6, 0.7
    logits = torch.tensor([0.0, 1.3, -0.4, 2.0], dtype=torch.float64)
    gradient = torch.tensor([0.5, -1.0, 2.0, 0.3], dtype=torch.float64)
    factor = 4 * high * slope(logits, high)
    torch.testing.assert_close(factor, torch.ones(4, dtype=torch.float64))
    found = gates(logits - eta * factor * gradient, tau)
    for value, g, start in zip(found.tolist(), gradient.tolist(), gates(logits, tau).tolist(), strict=True):

        def step(a: float, g: float = g, start: float = start) -> float:
            tangent = tau * math.log(start / (1 - start)) * (a - start)
            return eta * g * a + entropy(a, tau) - entropy(start, tau) - tangent

        solved = minimize_scalar(step, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-10})
        assert value == pytest.approx(solved.x, abs=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_average_iterate_obeys_the_bound_of_mirror_descent(seed: int) -> None:
    """Squared loss of a gated linear model, 8 units, against the best of all 256 architectures."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(20, 8, generator=draw, dtype=torch.float64)
    wanted = features @ (torch.rand(8, generator=draw, dtype=torch.float64) > 0.5).double()
    wanted += 0.3 * torch.randn(20, generator=draw, dtype=torch.float64)

    def objective(a: Tensor) -> Tensor:
        return (features @ a - wanted).square().mean() + 0.2 * a.mean()

    best = min(float(objective(torch.tensor(a, dtype=torch.float64))) for a in itertools.product((0, 1), repeat=8))
    tau, eta, steps, high = 1.0, 0.02, 200, 1e6
    logits = torch.zeros(8, dtype=torch.float64)
    values, longest = [], 0.0
    for _ in range(steps):
        a = gates(logits, tau).requires_grad_()
        value = objective(a)
        (gradient,) = torch.autograd.grad(value, a)
        values.append(float(value.detach()))
        longest = max(longest, float(gradient.square().sum()))
        logits = logits - eta * 4 * high * slope(logits, high) * gradient
    gap = sum(values) / steps - best
    assert gap <= tau * 8 * math.log(2) / (eta * steps) + eta * longest / (8 * tau)
    assert values[-1] < values[0]
