import numpy as np
import pytest

from benchmark.analysis.groups import OVERALL
from benchmark.analysis.leaderboard import leaderboard, table

SEEDS = 5


def summary(suite, values, target_shots=(("mnist", 5),), budgets=(0.1,), headline="fresh", seeds=SEEDS, rules=()):
    """A summary in which values[method] is a function of (target, shots, budget, seed); `rules` cost no search."""
    cells = [
        {
            **{"granularity": "channel", "method": method, "variant": variant, "weights": weights},
            **{"target": target, "shots": shots, "budget": budget},
            "by_seed": [value(target, shots, budget, seed) for seed in range(seeds)],
            **{"pretrain_flops": 0, "search_flops": 0 if method in rules else 1},
        }
        for method, value in values.items()
        for target, shots in target_shots
        for budget in budgets
        for variant, weights in (("", headline), ("own", headline), ("", "scratch"))
    ]
    return {"suite": suite, "axes": {"granularities": ["channel"]}, "headline": {"weights": headline}, "cells": cells}


def level(number, noise=0.0):
    return lambda target, shots, budget, seed: number + noise * ((7 * seed) % 5 - 2)


def ranks(found):
    return {record["method"]: record["rank"] for record in found}


def test_ranks_by_hand_every_task_counts_the_same():
    """First of two methods on mnist at three budgets, second on kmnist at one: 1.5 for either."""
    first = summary("a", {"dap": level(0.9), "uniform": level(0.8)}, budgets=(0.5, 0.1, 0.01))
    second = summary("b", {"dap": level(0.5), "uniform": level(0.6)}, target_shots=(("kmnist", 5),))
    found = leaderboard([first, second], resamples=50)
    assert ranks(found) == {"dap": 1.5, "uniform": 1.5}
    assert {record["tasks"] for record in found} == {2} and {record["places"] for record in found} == {4}
    wins = {record["method"]: record["wins"] for record in found}
    assert wins == {"dap": {"uniform": 0.75}, "uniform": {"uniform": None}}
    assert found[0]["suites"] == ["a", "b"]


def test_a_task_of_two_suites_is_one():
    suites = [summary(name, {"dap": level(0.9), "uniform": level(0.8)}) for name in "ab"]
    other = summary("c", {"dap": level(0.1), "uniform": level(0.2)}, target_shots=(("kmnist", 5),))
    assert ranks(leaderboard([*suites, other], resamples=20)) == {"dap": 1.5, "uniform": 1.5}


def test_clear_differences_are_told_apart_and_noise_is_not():
    values = {"uniform": level(0.80, 0.02), "dap": level(0.81, -0.02), "magnitude": level(0.2, 0.01)}
    found = leaderboard([summary("a", values, budgets=(0.5, 0.1))])
    assert [record["method"] for record in found][2] == "magnitude"
    assert [record["apart"] for record in found] == [False, False, True]
    assert (found[2]["low"], found[2]["high"]) == (3, 3)
    assert found[0]["low"] < found[0]["rank"] < found[0]["high"] or found[0]["low"] < found[0]["high"]


def test_tasks_are_resampled_from_five_on():
    """One method is ahead on some tasks, without any noise between seeds: only tasks can widen the interval."""

    def ahead(target, shots, budget, seed):
        return 0.9 if target in ("t0", "t1", "t2") else 0.1

    def suite(count):
        return summary("a", {"dap": ahead, "uniform": level(0.5)}, target_shots=[(f"t{i}", 5) for i in range(count)])

    few, many = leaderboard([suite(4)]), leaderboard([suite(6)])
    assert (few[0]["tasks_resampled"], many[0]["tasks_resampled"]) == (False, True)
    assert few[0]["low"] == few[0]["high"] == 1.25
    assert many[0]["low"] < 1.5 < many[0]["high"]


def test_what_cannot_be_ranked_is_left_out():
    values = {"dap": level(0.9), "uniform": level(0.8)}
    assert leaderboard([]) == [] == leaderboard([summary("a", values, seeds=4)])
    assert leaderboard([summary("a", {"dap": level(0.9)})]) == []
    third = summary("b", values | {"magnitude": level(0.95)})
    assert set(ranks(leaderboard([summary("a", values), third], resamples=5))) == {"dap", "uniform"}
    lacking = summary("a", values | {"magnitude": level(0.95)}, budgets=(0.5, 0.1))
    lacking["cells"] = [c for c in lacking["cells"] if c["method"] != "magnitude" or c["budget"] == 0.5]
    assert set(ranks(leaderboard([lacking], resamples=5))) == {"dap", "uniform"}


def test_variants_are_ranked_where_they_cost_no_search():
    values = {"dap": level(0.9), "uniform": level(0.8)}
    found = leaderboard([summary("a", values, rules=("uniform",))], resamples=5)
    assert [(record["method"], record["variant"]) for record in found] == [
        ("dap", ""),
        ("uniform", ""),
        ("uniform", "own"),
    ]
    assert [record["rank"] for record in found] == [1.0, 2.5, 2.5], "level variants share their rank"
    assert [record["wins"] for record in found] == [{"uniform": 1.0}, {"uniform": None}, {"uniform": 0.5}]


def test_what_is_left_out_is_named():
    values = {"dap": level(0.9), "uniform": level(0.8)}
    other = summary("b", values | {"magnitude": level(0.95)}, budgets=(0.5, 0.1), rules=("uniform",))
    other["cells"] = [c for c in other["cells"] if (c["method"], c["variant"], c["budget"]) != ("uniform", "own", 0.5)]
    found = leaderboard([summary("a", values), other], resamples=5)
    assert [record["method"] for record in found] == ["dap", "uniform"]
    assert {tuple(map(tuple, record["left_out"])) for record in found} == {(("magnitude", ""), ("uniform", "own"))}


def test_the_mean_over_targets_and_the_dense_control_are_no_places():
    values = {"dap": level(0.9), "uniform": level(0.8), "dense": level(0.99)}
    found = table(summary("a", values, target_shots=(("mnist", 5), (OVERALL, 5))), "channel")
    assert found.methods == [("dap", ""), ("uniform", "")] and found.tasks == ["mnist"]
    assert table(summary("a", values), "weight") is None


def test_a_seed_that_a_method_lacks_is_left_out():
    def gap(target, shots, budget, seed):
        return None if seed == 2 else 0.5

    found = table(summary("a", {"dap": gap, "uniform": level(0.8)}, seeds=6), "channel")
    assert found.values.shape == (2, 1, 5) and not np.isnan(found.values).any()


def test_it_is_the_same_every_time():
    values = {"uniform": level(0.80, 0.02), "dap": level(0.81, -0.02)}
    assert leaderboard([summary("a", values)]) == leaderboard([summary("a", values)])
    assert leaderboard([summary("a", values)])[0]["rank"] == pytest.approx(1.0)
