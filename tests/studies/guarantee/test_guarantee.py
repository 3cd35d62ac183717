"""The guarantee itself: no measured gap exceeds its bound, and with wrong constants some would."""

import math
from dataclasses import replace

import pytest
import torch
from toys import line, small

from benchmark.studies.guarantee import rounding
from benchmark.studies.guarantee.bounds import Setting, best_step, diameter
from benchmark.studies.guarantee.descent import descend
from benchmark.studies.guarantee.measure import _points, hidden_signs, interval, rounded, verdict, whole_gradients
from benchmark.studies.guarantee.optimum import relaxed, values
from benchmark.studies.guarantee.problems import DOUBLE, coin
from benchmark.studies.guarantee.sizes import sizes

MARKS = [1, 2, 5, 10, 30, 100, 300, 1000]
PROBLEMS = small()
named = pytest.mark.parametrize("problem", PROBLEMS, ids=["squared", "logistic", "dear"])


@named
def test_no_gap_with_full_gradients_exceeds_its_bound(problem) -> None:
    averages, lasts = whole_gradients(problem, relaxed(problem), sizes(problem), MARKS)
    assert {record["ratio"] for record in averages} == {0.0, 0.25, 0.5, 1.0}
    for record in averages:
        for gap, of_mean, seen, bound in zip(
            record["average"], record["of_mean"], record["seen"], record["bound"], strict=True
        ):
            assert 0 <= of_mean <= gap + 1e-12 and gap <= seen <= bound * (1 + 1e-12)
    for record in lasts:
        assert record["rise"] <= 1e-14
        assert all(gap <= bound for gap, bound in zip(record["last"], record["bound"], strict=True))


@named
def test_no_mean_gap_with_batches_exceeds_its_bound(problem) -> None:
    for steps in (1, 10, 100):
        for point in _points(problem, relaxed(problem), sizes(problem, 8), 8, steps):
            assert point["of_mean"] <= point["average"]
            assert point["average"] - point["half"] <= point["bound"]


@named
def test_no_rounded_gap_exceeds_its_bound(problem) -> None:
    for penalty in (0.0, 0.3, 2.0):
        found = rounded(problem, penalty, 300)
        assert found["relaxed"] <= found["discrete"] + 1e-12
        for kind in ("settled", "expected"):
            assert -1e-12 <= found[kind] <= found["ceiling"] + 1e-12
        assert found["threshold"] >= -1e-12
        if problem.loss == "squared":
            # J bends equally everywhere, and the bound is what happens.
            assert found["expected"] == pytest.approx(found["ceiling"], abs=1e-9)


def test_the_hardest_objective_known_to_us_comes_close() -> None:
    """So the bound is not loose by more than a small factor, whatever the number of steps."""
    constant, _ = hidden_signs((10, 100, 300))
    for point in constant["points"]:
        assert 0.6 < point["average"] / point["bound"] < 0.8
        assert point["half"] < 0.05 * point["average"]


def first_step(units: int = 1) -> tuple[float, Setting]:
    """The gap of J(a) = sum of a after one step, half of n, and what its bound depends on."""
    step = best_step(units, 0.0, units**0.5, 1.0, 1)
    gap = float(descend(line(1.0, units), [step], [0.0], [1]).average)
    return gap, Setting(units, step, 0.0, units**0.5, 1.0)


def test_the_first_step_by_hand() -> None:
    """The gap is 1/2, the bound sqrt(ln 2 / 2)."""
    gap, setting = first_step()
    assert gap == 0.5
    assert setting.bound(1) == pytest.approx(math.sqrt(math.log(2) / 2))
    assert gap < setting.bound(1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: math.log(2) / (2 * s.step) + s.step * s.size**2 / 8,
        lambda s: math.log(2) / s.step + s.step * s.size**2 / 16,
        lambda s: math.log(2) / s.step,
        lambda s: s.step * s.size**2 / 8,
    ],
    ids=["half of ln 2", "16 for 8", "no second term", "no first term"],
)
def test_with_a_wrong_constant_the_first_step_exceeds_its_bound(wrong) -> None:
    gap, setting = first_step()
    assert gap > wrong(setting)


def test_without_the_number_of_units_the_first_step_exceeds_its_bound() -> None:
    gap, setting = first_step(16)
    assert setting.bound(1) / 4 < gap == 8 < setting.bound(1)


def test_the_diameter_is_exact() -> None:
    """J(a) = a with short steps: the gaps add up to the diameter, so no smaller d would do; ln 2 in its place fails."""
    step, steps, ratios = 0.015, 3000, (0.0, 0.5, 0.75)
    course = descend(line(), [step] * 3, ratios, [steps])
    for ratio, gap in zip(ratios, course.average[:, 0].tolist(), strict=True):
        setting = Setting(1, step, ratio, 1.0, 1.0)
        bound = setting.bound(steps)
        assert 0.8 < gap / bound < 1
        start = diameter(ratio, setting.farthest(steps)) / (step * steps)
        assert ratio == 0 or gap > bound - start + math.log(2) / (step * steps)


def test_batches_with_a_wrong_constant_exceed_the_bound() -> None:
    constant, _ = hidden_signs((100,))
    (point,) = constant["points"]
    assert point["average"] - point["half"] > point["bound"] / math.sqrt(3)


def fabricated(problem) -> dict:
    averages, lasts = whole_gradients(problem, relaxed(problem), sizes(problem), [1, 10])
    points = _points(problem, relaxed(problem), sizes(problem, 8), 8, 10)
    chance = [{"problem": problem.name, "ratio": 0.0, "batch": 8, "points": points}]
    return {"full": averages, "batches": chance, "last": lasts, "rounding": [rounded(problem, 0.3, 100)]}


def test_the_verdict_counts_what_exceeds() -> None:
    found = fabricated(PROBLEMS[0])
    good = verdict(found)
    assert good["exceeded"] == 0 < good["largest"] < 1
    assert good["compared"] == 2 * 2 * 6 + 2 * 3 + 2 + 2
    found["full"][0]["average"][1] = 2 * found["full"][0]["seen"][1]
    found["last"][2]["last"][0] = 3 * found["last"][2]["bound"][0]
    beyond_both = found["full"][0]["average"][1] > found["full"][0]["bound"][1]
    assert verdict(found)["exceeded"] == 2 + beyond_both
    assert verdict(found)["largest"] == pytest.approx(3) == verdict(found)["last"]
    # A mean above its bound may be chance, unless all of its interval is.
    point = found["batches"][0]["points"][0]
    before = verdict(found)["exceeded"]
    point["average"], point["half"] = 1.1 * point["bound"], 0.2 * point["bound"]
    assert verdict(found)["exceeded"] == before and verdict(found)["batches"] == pytest.approx(1.1)
    point["half"] = 0.05 * point["bound"]
    assert verdict(found)["exceeded"] == before + 1
    found["rounding"][0]["settled"] = found["rounding"][0]["ceiling"] + 0.1
    assert verdict(found)["exceeded"] == before + 2


def test_intervals_by_hand() -> None:
    # Standard deviation 1, three values: 4.303 / sqrt(3).
    mean, half = interval(torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE))
    assert (mean, half) == (2, pytest.approx(4.30265 / math.sqrt(3), rel=1e-5))


def test_rounding_by_hand() -> None:
    # (a - 0.4)^2 from a = 0.3: 0.01 + 0.21 expected, 0 is the better end.
    problem = replace(PROBLEMS[0], rows=torch.ones(1, 1, dtype=DOUBLE), targets=torch.tensor([0.4], dtype=DOUBLE))
    problem = replace(problem, costs=torch.ones(1, dtype=DOUBLE), penalty=0.0)
    point = torch.tensor([0.3], dtype=DOUBLE)
    assert rounding.excess(problem, point) == pytest.approx(0.21)
    assert rounding.expected(problem, point) == pytest.approx(0.22) == 0.7 * 0.16 + 0.3 * 0.36
    assert float(rounding.settled(problem, point)) == 0 == float(rounding.threshold(point))
    assert float(rounding.threshold(1 - point)) == 1


def test_settled_gates_are_no_worse_than_drawn_ones() -> None:
    draw = torch.Generator().manual_seed(3)
    for problem in PROBLEMS:
        best = float(values(problem).min())
        for _ in range(20):
            point = torch.rand(problem.units, generator=draw, dtype=DOUBLE)
            found = rounding.settled(problem, point)
            assert set(found.tolist()) <= {0.0, 1.0}
            value = float(problem.value(found[None]))
            assert best <= value <= float(problem.value(point[None])) + rounding.excess(problem, point) + 1e-12


def test_the_hidden_signs_need_another_problem_for_every_number_of_steps() -> None:
    assert not torch.equal(coin(10).rows, coin(100).rows)
