"""The update that is measured: the relaxation's own gates and slope, by hand and against mirror descent."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from toys import line, made, small

from benchmark.dap.relaxation import gates, slope
from benchmark.studies.guarantee.bounds import smooth_step
from benchmark.studies.guarantee.descent import descend, relative_slope
from benchmark.studies.guarantee.optimum import relaxed
from benchmark.studies.guarantee.problems import DOUBLE
from benchmark.studies.guarantee.sizes import smoothness


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_one_unit_by_hand() -> None:
    """J(a) = 2 a: the logits are 0, -0.6, ..., for the step is 0.3."""
    course = descend(line(2.0), [0.3], [0.0], [1, 2, 3])
    a = [0.5, sigmoid(-0.6), sigmoid(-1.2), sigmoid(-1.8)]
    assert course.marks == [1, 2, 3]
    assert course.average[0].tolist() == pytest.approx([2 * sum(a[:t]) / t for t in (1, 2, 3)])
    assert course.of_mean[0].tolist() == pytest.approx(course.average[0].tolist())
    assert course.last[0].tolist() == pytest.approx([2 * value for value in a[1:]])
    assert course.squares[0].tolist() == pytest.approx([4, 4, 4])
    assert course.largest[0].tolist() == pytest.approx([2, 2, 2])
    assert course.farthest[0].tolist() == pytest.approx([0.6, 1.2, 1.8])
    assert course.rise[0].tolist() == pytest.approx([2 * (a[1] - a[0]), 2 * (a[2] - a[1]), 2 * (a[3] - a[2])])
    assert float(course.mean) == pytest.approx(sum(a[:3]) / 3)


def test_one_unit_with_two_temperatures_by_hand() -> None:
    # With tau_hi = 2 tau_lo the second step is shorter by 1 / cosh^2(0.6 / 4).
    course = descend(line(2.0), [0.3], [0.5], [2])
    assert float(course.farthest) == pytest.approx(0.6 + 0.6 / math.cosh(0.15) ** 2)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.5, 2.0), (2.0, 3.0)])
def test_the_update_is_that_of_the_relaxation(low: float, high: float) -> None:
    """With its temperatures, its slope and a step of its own: eta of the page is a quarter of it over tau_hi."""
    problem, own = small()[1], 0.2
    logits = torch.zeros(1, problem.units, dtype=DOUBLE)
    total = 0.0
    for _ in range(30):
        a = gates(logits, low)
        total += float(problem.value(a))
        logits = logits - own * slope(logits, high) * problem.gradient(a)
    course = descend(problem, [own / (4 * high) / low], [low / high], [30])
    assert float(course.average) == pytest.approx(total / 30, rel=1e-12)
    assert float(course.farthest) == pytest.approx(float((logits / low).abs().max()), rel=1e-9)


def test_the_relative_slope_is_one_over_a_squared_cosh() -> None:
    logits = torch.linspace(-9, 9, 19, dtype=DOUBLE).expand(3, -1)
    found = relative_slope(logits, torch.tensor([0.0, 0.5, 1.0], dtype=DOUBLE))
    assert found[0].tolist() == [1.0] * 19
    torch.testing.assert_close(found[1], 1 / torch.cosh(logits[0] / 4) ** 2)
    torch.testing.assert_close(found[2], 1 / torch.cosh(logits[0] / 2) ** 2)


def test_at_a_constant_slope_a_step_is_the_mirror_step() -> None:
    """The minimum over a of eta g a + D(a, a_1) for each unit, D the divergence of the entropy."""
    problem, eta = small()[0], 0.7
    middle = torch.full((1, problem.units), 0.5, dtype=DOUBLE)
    gradient = problem.gradient(middle)[0].tolist()
    course = descend(problem, [eta], [0.0], [2])
    found = 2 * course.mean[0] - 0.5
    for value, g in zip(found.tolist(), gradient, strict=True):
        solved = minimize_scalar(
            lambda a, g=g: eta * g * a + a * math.log(a) + (1 - a) * math.log(1 - a),
            bounds=(1e-12, 1 - 1e-12),
            method="bounded",
            options={"xatol": 1e-12},
        )
        assert value == pytest.approx(solved.x, abs=1e-5)


def test_runs_do_not_disturb_each_other() -> None:
    problem = small()[1]
    together = descend(problem, [0.1, 0.5, 0.5], [0.0, 0.0, 1.0], [5, 20])
    for run, (step, ratio) in enumerate(((0.1, 0.0), (0.5, 0.0), (0.5, 1.0))):
        alone = descend(problem, [step], [ratio], [5, 20])
        torch.testing.assert_close(together.average[run], alone.average[0])
        torch.testing.assert_close(together.farthest[run], alone.farthest[0])


def test_batches_are_drawn_by_the_generator() -> None:
    problem = small()[0]

    def run(seed: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(seed)
        return descend(problem, [0.05] * 3, [0.0] * 3, [20], 2, draw).average[:, 0]

    assert torch.equal(run(0), run(0)) and not torch.equal(run(0), run(1))
    assert len(set(run(0).tolist())) == 3


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_full_gradients_never_raise_a_smooth_objective_up_to_twice_the_step(ratio: float) -> None:
    for problem in small():
        course = descend(problem, [2 * smooth_step(smoothness(problem))], [ratio], [200])
        assert float(course.rise) <= 1e-14
    # Far beyond that they do.
    course = descend(small()[0], [60 * smooth_step(smoothness(small()[0]))], [0.0], [50])
    assert float(course.rise) > 1e-3


def test_with_hard_gates_the_gap_stays() -> None:
    """The page's example: J = (a - 2/5)^2 with the step forward is 2/25 above the best architecture, in the mean."""
    problem = made([[1.0]], [0.4])
    for eta in (1e-4, 0.01, 1.0):
        logits, total, count = torch.zeros(1, 1, dtype=DOUBLE), 0.0, 2000
        for _ in range(count):
            a = gates(logits, 0.0)
            total += float(problem.value(a))
            logits = logits - eta * problem.gradient(a)
        assert total / count - 0.16 == pytest.approx(0.08, abs=2e-3)
    soft = descend(problem, [0.1], [0.0], [2000])
    assert float(soft.average) < 0.01


def test_units_decide_as_the_temperatures_let_them() -> None:
    """J(a) = a: 1 / (1 - a) grows as T at one temperature, as T^2 at two times, exponentially at a constant slope."""
    problem = line(1.0)
    course = descend(problem, [0.1] * 3, [1.0, 0.5, 0.0], [500, 1000, 2000])
    one, two, constant = course.last
    assert float(one[1] / one[2]) == pytest.approx(2, rel=0.05)
    assert float(two[1] / two[2]) == pytest.approx(4, rel=0.05)
    assert float(constant[1] / constant[2]) > 1e40


def test_the_minimum_is_reached() -> None:
    for problem in small():
        course = descend(problem, [smooth_step(smoothness(problem))], [0.0], [1500])
        assert float(course.last) - relaxed(problem).value < 1e-3
