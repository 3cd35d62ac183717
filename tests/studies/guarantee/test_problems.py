"""The convex objectives: their gradients, the bounds of these, and certified minima."""

import itertools

import pytest
import torch
from toys import line, made, small

from benchmark.errors import BenchError
from benchmark.studies.guarantee.optimum import certified, corners, relaxed, values
from benchmark.studies.guarantee.problems import DOUBLE, Problem, coin, law, many_features, small_digits
from benchmark.studies.guarantee.sizes import bends, sizes, smoothness

SMALL = small()
named = pytest.mark.parametrize("problem", SMALL, ids=["squared", "logistic", "dear"])


def points(problem: Problem, count: int = 300) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    inside = torch.rand(count, problem.units, generator=draw, dtype=DOUBLE)
    return torch.cat([inside, inside.round(), torch.full((1, problem.units), 0.5, dtype=DOUBLE)])


@pytest.mark.parametrize("problem", [*SMALL, line(-2.0, 3)])
def test_the_gradient_is_the_derivative(problem: Problem) -> None:
    gates = points(problem, 5).requires_grad_()
    (expected,) = torch.autograd.grad(problem.value(gates).sum(), gates)
    value, gradient = problem.value_and_gradient(gates.detach())
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(problem.gradient(gates.detach()), expected)
    torch.testing.assert_close(value, problem.value(gates.detach()))


def test_values_by_hand() -> None:
    problem = made([[1.0, 2.0], [3.0, 0.0]], [1.0, 0.0], penalty=0.4, offset=-1.0)
    # Outputs -1 + 1 = 0 and -1 + 3 = 2: squares 1 and 4, mean 2.5; half of the cost.
    assert float(problem.value(torch.tensor([[1.0, 0.0]], dtype=DOUBLE))) == pytest.approx(2.5 + 0.2)
    # Slopes -2 and 4 times the rows, mean of both, plus 0.2 for each unit.
    gradient = problem.gradient(torch.tensor([[1.0, 0.0]], dtype=DOUBLE))
    assert gradient[0].tolist() == pytest.approx([(-2 + 12) / 2 + 0.2, (-4 + 0) / 2 + 0.2])


@named
def test_a_batch_is_unbiased(problem: Problem) -> None:
    gates = points(problem, 2)
    everything = torch.arange(len(problem.rows)).expand(len(gates), -1)
    torch.testing.assert_close(problem.batch_gradient(gates, everything), problem.gradient(gates))
    one = torch.stack(
        [problem.batch_gradient(gates, torch.full((len(gates), 1), row)) for row in range(len(problem.rows))]
    )
    torch.testing.assert_close(one.mean(0), problem.gradient(gates))


@named
def test_no_gradient_is_larger_than_its_bound(problem: Problem) -> None:
    gates = points(problem)
    full = sizes(problem)
    gradient = problem.gradient(gates)
    assert float(gradient.norm(dim=1).max()) <= full.size * (1 + 1e-12)
    assert float(gradient.abs().max()) <= full.largest * (1 + 1e-12)
    if problem.loss == "squared":
        corner = max(float(problem.gradient(part).norm(dim=1).max()) for part in corners(problem.units))
        assert full.size == pytest.approx(corner)
    single = torch.stack(
        [problem.batch_gradient(gates, torch.full((len(gates), 1), row)) for row in range(len(problem.rows))]
    )
    squares = single.square().sum(2).mean(0)
    alone, batch = sizes(problem, 1), sizes(problem, 8)
    assert float(squares.max()) <= alone.size**2 * (1 + 1e-12)
    assert float(single.abs().max()) <= alone.largest * (1 + 1e-12) == batch.largest * (1 + 1e-12)
    expected = squares / 8 + (1 - 1 / 8) * gradient.square().sum(1)
    assert float(expected.max()) <= batch.size**2 * (1 + 1e-12)
    assert full.size < batch.size < alone.size


@named
def test_no_second_derivative_is_larger_than_its_bound(problem: Problem) -> None:
    for gates in points(problem, 4):
        matrix = torch.autograd.functional.hessian(lambda a: problem.value(a[None])[0], gates)
        assert float(torch.linalg.eigvalsh(matrix).max()) <= smoothness(problem) * (1 + 1e-9)
        assert float(torch.linalg.eigvalsh(matrix).min()) >= -1e-12  # convex
        assert bool((matrix.diagonal() <= bends(problem) * (1 + 1e-9)).all())


def test_corners_are_all_architectures() -> None:
    found = torch.cat(list(corners(13)))
    assert found.shape == (2**13, 13)
    assert len({tuple(row) for row in found.tolist()}) == 2**13
    assert {tuple(row) for row in torch.cat(list(corners(3))).tolist()} == set(itertools.product((0, 1), repeat=3))
    with pytest.raises(BenchError, match="30 units have too many architectures"):
        next(corners(30))


def test_the_best_architecture_by_hand() -> None:
    # (a + 2 b - 2)^2 + 0.3 (a + b) / 2 is 4, 1.15, 0.15, 1.3 at 00, 10, 01, 11.
    problem = made([[1.0, 2.0]], [2.0], penalty=0.3)
    assert values(problem).tolist() == pytest.approx([4, 1.15, 0.15, 1.3])


def test_the_minimum_over_the_cube_by_hand() -> None:
    # (a - 0.3)^2 has its minimum inside, (a - 2)^2 at a corner.
    inside, outside = relaxed(made([[1.0]], [0.3])), relaxed(made([[1.0]], [2.0]))
    assert float(inside.point) == pytest.approx(0.3) and inside.value == pytest.approx(0, abs=1e-12)
    assert float(outside.point) == 1 and outside.value == 1 == outside.lower


def test_the_certificate_by_hand() -> None:
    # At a = 0.5 the tangent of (a - 0.3)^2 is 0.04 + 0.4 (a - 0.5): -0.16 at a = 0. The minimum 0 is above it.
    found = certified(made([[1.0]], [0.3]), torch.tensor([0.5], dtype=DOUBLE))
    assert (found.value, found.lower) == (pytest.approx(0.04), pytest.approx(-0.16))


@named
def test_nothing_is_below_the_certified_minimum(problem: Problem) -> None:
    best = relaxed(problem)
    assert 0 <= best.value - best.lower < 1e-7
    assert float(problem.value(points(problem)).min()) >= best.lower
    assert float(values(problem).min()) >= best.lower
    wrong = certified(problem, torch.full((problem.units,), 0.5, dtype=DOUBLE))
    assert wrong.lower <= best.value < wrong.value


def test_the_problems_from_digits_and_from_a_law() -> None:
    pooled = small_digits()
    assert (pooled.rows.shape, pooled.loss) == ((600, 16), "squared")
    assert set(pooled.targets.tolist()) == {-1.0, 1.0}
    assert torch.equal(pooled.rows, small_digits().rows)
    # Weights and offset are fitted: with all gates open most of the signs are right.
    right = pooled.outputs(torch.ones(1, 16, dtype=DOUBLE))[0].sign() == pooled.targets
    assert 0.6 < float(right.double().mean()) < 1
    drawn = law(units=20, examples=40, draws=3)
    assert drawn.rows.shape == (120, 20)
    first, second = drawn.rows[:40], drawn.rows[40:80]
    # The same examples, other weights.
    ratio = second / first
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    assert float((ratio[0] - 1).abs().max()) > 0.1
    assert many_features(units=30, examples=50).rows.shape == (50, 30)


def test_the_problem_of_hidden_signs() -> None:
    for steps in (10, 100):
        problem = coin(steps, units=3)
        assert set(problem.rows.unique().tolist()) == {-1.0, 1.0}
        mean = problem.gradient(torch.zeros(1, 3, dtype=DOUBLE))[0]
        assert mean.tolist() == pytest.approx([2 / steps**0.5] * 3, abs=2e-3)
        assert sizes(problem, 1).size == pytest.approx(3**0.5)
        assert relaxed(problem).value == 0
    # A larger mean than 1 there is not.
    assert float(coin(1).rows.min()) == 1
