import math

import pytest
from hand_made import ROWS, half_of, only, p_of, params_of, row, summarise

from benchmark.analysis.areas import budget_sets
from benchmark.analysis.output import metrics

BUDGETS = [0.5, 0.1, 0.05]
# By budget, then for the seeds 0 and 1; the seed 2 is half-way.
ACCURACIES = {
    "uniform": {0.5: (0.8, 0.9), 0.1: (0.6, 0.7), 0.05: (0.4, 0.5)},
    "dap": {0.5: (0.8, 0.7), 0.1: (0.7, 0.9), 0.05: (0.6, 0.7)},
    "my_pruner": {0.5: (0.9, 0.9), 0.1: (0.6, 0.7), 0.05: (0.6, 0.5)},
}


def rows_of(method):
    return [
        row(method, budget, seed, draw, accuracy)
        for budget, by_seed in ACCURACIES[method].items()
        for seed, accuracy in enumerate((*by_seed, sum(by_seed) / 2))
        for draw in (0, 1)
    ]


@pytest.fixture
def summary(tmp_path):
    params = params_of(methods=["dense", *ACCURACIES], grid={"budgets": BUDGETS})
    return summarise(tmp_path, {"dense": ROWS["dense"]} | {method: rows_of(method) for method in ACCURACIES}, params)


def test_sets_of_budgets():
    assert budget_sets([0.5, 0.1, 0.05]) == {"all": [0.5, 0.1, 0.05], "small": [0.1, 0.05]}
    assert budget_sets([0.5, 0.1]) == {"all": [0.5, 0.1]}, "one budget has no area"
    assert budget_sets([0.1, 0.05]) == {"all": [0.1, 0.05]}, "the small ones are all"


def test_small_areas_by_hand(summary):
    # One segment, from 10 % to 5 %: the mean of its ends.
    by_seed = {area["method"]: area["by_seed"] for area in summary["small_areas"]}
    assert by_seed == {"uniform": [0.5, 0.6, 0.55], "dap": [0.65, 0.8, 0.725], "my_pruner": [0.6, 0.6, 0.6]}
    found = only(summary["small_areas"], method="dap")
    assert (found["accuracy"], found["half"]) == (0.725, pytest.approx(half_of(0.15), rel=1e-5))
    # All budgets: the segment from 50 % to 10 % weighs log 5, that from 10 % to 5 % log 2.
    area = (0.75 * math.log(5) + 0.65 * math.log(2)) / math.log(10)
    assert only(summary["areas"], method="dap")["by_seed"][0] == pytest.approx(area, rel=1e-5)


def test_small_areas_are_a_measure_and_a_family_of_their_own(summary):
    # By seed 0.15, 0.2 and half-way over the uniform width, 0.05, 0.2 and half-way over the other.
    first, second = p_of(0.175, 0.05), p_of(0.125, 0.15)
    uniform = only(summary["tests"], measure="small area", method="uniform")
    assert (uniform["difference"], uniform["half"]) == (0.175, pytest.approx(half_of(0.05), rel=1e-5))
    assert (uniform["p"], uniform["p_holm"]) == (pytest.approx(first, rel=1e-5), pytest.approx(2 * first, rel=1e-5))
    other = only(summary["tests"], measure="small area", method="my_pruner")
    assert (other["difference"], other["p_holm"]) == (0.125, pytest.approx(second, rel=1e-5))
    assert [t["family_size"] for t in summary["tests"] if t["family"] == "methods" and "budget" not in t] == [2] * 4
    assert "small area" in summary["conventions"]["small_areas"]


def test_a_seed_without_a_large_budget_has_its_small_area(tmp_path):
    rows = {method: [r for r in rows_of(method) if (r.budget, r.seed) != (0.5, 1)] for method in ACCURACIES}
    summary = summarise(tmp_path, rows, params_of(methods=list(ACCURACIES), grid={"budgets": BUDGETS}))
    assert only(summary["areas"], method="dap")["seeds"] == 2
    assert only(summary["small_areas"], method="dap")["by_seed"] == [0.65, 0.8, 0.725]


def test_without_a_set_of_small_budgets_there_is_no_small_area(tmp_path):
    summary = summarise(tmp_path)
    assert summary["areas"] and summary["small_areas"] == []
    assert {test["measure"] for test in summary["tests"]} == {"accuracy", "area"}
    assert "small_area" not in metrics(summary)["t"]["channel"]


def test_metrics_have_both_areas(summary):
    found = metrics(summary)["t"]["channel"]
    assert found["small_area"] == {"uniform": 0.55, "dap": 0.725, "my_pruner": 0.6}
    assert found["area"] == {area["method"]: area["accuracy"] for area in summary["areas"]}
    assert found["dense_accuracy"] == 0.9
