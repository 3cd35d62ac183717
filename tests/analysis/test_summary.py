import json
import math

import pytest
from hand_made import ROWS, SEEDS, T2, half_of, only, p_of, params_of, row, summarise
from hypothesis import given
from hypothesis import strategies as st

from benchmark.analysis import analyse, analyse_suite, read_summary
from benchmark.analysis.comparisons import mark_best
from benchmark.analysis.groups import OVERALL
from benchmark.analysis.intervals import area, common_seed_means, holm, mean_interval, paired
from benchmark.analysis.rows import write_results
from benchmark.errors import BenchError

shares = st.floats(0.0, 1.0)


def test_interval_by_hand():
    estimate = mean_interval([0.8, 0.9, 1.0])
    assert estimate.mean == pytest.approx(0.9)
    assert estimate.half == pytest.approx(T2 * 0.1 / math.sqrt(3))
    assert estimate.n == 3


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_there_are_means_only(seeds):
    first, second = dict.fromkeys(range(seeds), 0.7), {seed: 0.5 + 0.01 * seed for seed in range(seeds)}
    assert mean_interval(list(second.values())).half is None
    test = paired(first, second)
    assert test is not None and test.mean == pytest.approx(0.2 - 0.005 * (seeds - 1))
    assert (test.half, test.error, test.p, test.resolved) == (None, None, None, False)


def test_paired_by_hand():
    test = paired({0: 0.6, 1: 0.8, 2: 1.0, 9: 0.0}, {0: 0.5, 1: 0.6, 2: 0.7, 7: 1.0})
    assert test is not None
    # Differences 0.1, 0.2, 0.3 on the common seeds; with 2 degrees of freedom p = 1 - t / sqrt(t^2 + 2).
    t = 0.2 / (0.1 / math.sqrt(3))
    assert (test.mean, test.n) == (pytest.approx(0.2), 3)
    assert test.half == pytest.approx(T2 * 0.1 / math.sqrt(3))
    assert test.p == pytest.approx(1 - t / math.sqrt(t * t + 2))
    assert not test.resolved


def test_paired_edges():
    assert paired({0: 0.5}, {1: 0.5}) is None
    same = paired({0: 0.5, 1: 0.7, 2: 0.6}, {0: 0.5, 1: 0.7, 2: 0.6})
    shifted = paired({0: 0.6, 1: 0.8, 2: 0.7}, {0: 0.5, 1: 0.7, 2: 0.6})
    assert same is not None and shifted is not None
    assert (same.p, shifted.p) == (1.0, 0.0)
    assert not same.resolved


def test_pairing_removes_what_seeds_share():
    # Seeds differ by 0.2, methods by about 0.05: invisible unpaired, plain when paired.
    first, second = {0: 0.55, 1: 0.75, 2: 0.951}, {0: 0.5, 1: 0.7, 2: 0.9}
    test = paired(first, second)
    assert test is not None and test.resolved
    half = mean_interval(list(first.values())).half
    assert half is not None and half > 0.3


def test_common_seed_means_are_over_common_seeds():
    # Seeds 7 and 9 are in one side each.
    assert common_seed_means({0: 0.5, 1: 0.6, 7: 1.0}, {9: 0.0, 1: 0.9, 0: 0.6}) == pytest.approx([0.55, 0.75])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


@given(st.lists(shares, min_size=1, max_size=8))
def test_holm_is_monotone_and_never_below_p(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    by_p = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)
    assert min(adjusted) == min(1.0, len(p_values) * min(p_values))


def test_area_by_hand():
    assert area([0.01, 0.1, 1.0], [0.5, 0.7, 0.9]) == pytest.approx(0.7)
    left, right = math.log(10), math.log(5)
    expected = (0.5 * left + 0.7 * right) / (left + right)
    assert area([0.5, 0.01, 0.1], [0.8, 0.4, 0.6]) == pytest.approx(expected)
    assert area([0.1, 0.1, 1.0], [0.4, 0.6, 0.9]) == pytest.approx(0.7)
    assert area([0.1], [0.5]) is None


@given(st.dictionaries(st.integers(1, 100), shares, min_size=2, max_size=6))
def test_area_is_a_mean(points):
    value = area([x / 100 for x in points], list(points.values()))
    assert value is not None
    assert min(points.values()) - 1e-9 <= value <= max(points.values()) + 1e-9


def test_standing():
    best = {0: 0.80, 1: 0.90, 2: 0.85}
    near = {0: 0.81, 1: 0.88, 2: 0.85}
    far = {0: 0.30, 1: 0.40, 2: 0.35}
    assert mark_best([near, best, None, far]) == ["unresolved", "best", "", ""]
    assert mark_best([None]) == [""]
    assert mark_best([{0: 0.5}, {0: 0.6}]) == ["unresolved", "best"]


def test_cell_by_hand(tmp_path):
    cell = only(summarise(tmp_path)["cells"], method="dap", budget=0.1)
    # Draws 0.70, 0.74 and 0.82, 0.86 and 0.76, 0.80: seed means 0.72, 0.84 and 0.78.
    assert cell["by_seed"] == pytest.approx([0.72, 0.84, 0.78])
    assert cell["accuracy"] == pytest.approx(0.78)
    assert cell["half"] == pytest.approx(half_of(0.12), rel=1e-5)
    assert cell["draw_sd"] == pytest.approx(math.sqrt(0.0008), rel=1e-5)
    assert (cell["seeds"], cell["rows"]) == (3, 6)
    assert cell["complexity"] == pytest.approx(0.09)
    assert (cell["compression"], cell["speedup"]) == (10.0, 10.0)
    assert (cell["pretrain_flops"], cell["search_flops"], cell["train_flops"]) == (1, 10, 100)


def test_draws_are_not_replicates(tmp_path):
    few = only(summarise(tmp_path)["cells"], method="uniform", budget=0.1)
    more = [row("uniform", 0.1, s, d, 0.61 + 0.1 * at) for s, at in SEEDS.items() for d in range(20)]
    rows = ROWS | {"uniform": [r for r in ROWS["uniform"] if r.budget != 0.1] + more}
    many = only(summarise(tmp_path, rows, params_of(transfer={"draws": 20}))["cells"], method="uniform", budget=0.1)
    assert many["half"] == pytest.approx(few["half"]) == pytest.approx(half_of(0.1), rel=1e-5)


def test_tests_and_families_by_hand(tmp_path):
    summary = summarise(tmp_path)
    test = only(summary["tests"], method="uniform", budget=0.1, measure="accuracy")
    # dap - uniform: 0.72 - 0.61, 0.84 - 0.71 and 0.78 - 0.66.
    p = p_of(0.12, 0.02)
    assert test["difference"] == pytest.approx(0.12)
    assert test["half"] == pytest.approx(half_of(0.02), rel=1e-5)
    assert (test["family"], test["family_size"]) == ("methods", 2)
    assert test["p"] == pytest.approx(p, rel=1e-5)
    assert test["p_holm"] == pytest.approx(2 * p, rel=1e-5)
    dense = only(summary["tests"], method="dense", budget=0.01)
    assert (dense["family"], dense["difference"]) == ("dense", pytest.approx(-0.12))
    assert only(summary["tests"], measure="area")["family_size"] == 1


def test_variants_are_a_family_of_their_own(tmp_path):
    variant = {"variants": {"init": {"params": {"law": "init"}}}}
    extra = [r.model_copy(update={"variant": "init", "accuracy": r.accuracy - 0.1}) for r in ROWS["dap"]]
    params = params_of(method_settings={"dap": variant})
    summary = summarise(tmp_path, ROWS | {"dap": ROWS["dap"] + extra}, params)
    assert only(summary["tests"], variant="init", budget=0.1)["family"] == "variants"
    assert only(summary["tests"], method="uniform", budget=0.1)["family_size"] == 2


def test_areas_by_hand(tmp_path):
    summary = summarise(tmp_path)
    assert {a["method"] for a in summary["areas"]} == {"uniform", "dap"}
    assert only(summary["areas"], method="dap")["by_seed"] == pytest.approx([0.72, 0.84, 0.78])
    # A seed without one of the budgets has no area: its range would be another.
    rows = ROWS | {"dap": [r for r in ROWS["dap"] if (r.budget, r.seed) != (0.01, 1)]}
    found = only(summarise(tmp_path, rows)["areas"], method="dap")
    assert (found["by_seed"], found["half"], found["seeds"]) == (pytest.approx([0.72, None, 0.78]), None, 2)


def test_gap_by_hand(tmp_path):
    own = [r.model_copy(update={"weights": "inherit", "accuracy": r.accuracy + 0.05}) for r in ROWS["dap"]]
    params = params_of(transfer={"weights": ["fresh", "inherit"]})
    gaps = summarise(tmp_path, ROWS | {"dap": ROWS["dap"] + own}, params)["gaps"]
    assert only(gaps, method="dap")["difference"] == pytest.approx(0.05)
    assert len(gaps) == 1


def test_missing_is_named(tmp_path):
    rows = ROWS | {"uniform": [r for r in ROWS["uniform"] if (r.budget, r.seed, r.draw) != (0.01, 1, 0)], "dap": []}
    missing = summarise(tmp_path, rows)["missing"]
    assert only(missing, method="uniform") == {
        "granularity": "channel",
        "method": "uniform",
        "variant": "",
        "weights": "fresh",
        "absent": 1,
        "expected": 12,
        "cells": [{"target": "t", "budget": 0.01, "shots": 5, "seed": 1, "draws": [0]}],
    }
    assert (only(missing, method="dap")["absent"], only(missing, method="dap")["cells"]) == (12, [])
    assert len(missing) == 2


def test_a_method_without_a_file_is_absent(tmp_path):
    summary = summarise(tmp_path, {"dense": ROWS["dense"]})
    assert [m["method"] for m in summary["missing"]] == ["uniform", "dap"]
    assert (summary["tests"], summary["areas"]) == ([], [])


def test_nothing_missing(tmp_path):
    assert summarise(tmp_path)["missing"] == []


def test_rows_that_were_not_asked_for(tmp_path):
    stale = [row("dense", 1.0, 7, 0, 0.1), row("dense", 1.0, 0, 5, 0.1), row("dense", 1.0, 0, 0, 0.1, suite="other")]
    arms = [row("dense", 1.0, 0, 0, 0.1, arm="shuffle")]
    summary = summarise(tmp_path, ROWS | {"dense": ROWS["dense"] + stale + arms})
    assert summary["unexpected_rows"] == 3
    assert only(summary["cells"], method="dense")["accuracy"] == 0.9


def test_one_seed(tmp_path):
    summary = summarise(tmp_path, params=params_of(grid={"seeds": [0]}))
    assert {cell["half"] for cell in summary["cells"]} == {None}
    assert {(test["half"], test["p"], test["p_holm"]) for test in summary["tests"]} == {(None, None, None)}


def test_without_dense_there_is_no_ratio(tmp_path):
    params = params_of(methods=["uniform", "dap"])
    cell = only(summarise(tmp_path, ROWS, params)["cells"], method="dap", budget=0.1)
    assert (cell["compression"], cell["speedup"]) == (None, None)


def test_headline_is_fresh_at_five_shots_or_the_middle(tmp_path):
    assert summarise(tmp_path)["headline"] == {"weights": "fresh", "shots": 5, "target": "t"}
    params = params_of(transfer={"weights": ["scratch", "fresh"], "shots": [20, 5, 15, 10]})
    assert summarise(tmp_path, params=params)["headline"] == {"weights": "fresh", "shots": 5, "target": "t"}
    params = params_of(transfer={"weights": ["scratch"], "shots": [1, 10]})
    assert summarise(tmp_path, params=params)["headline"] == {"weights": "scratch", "shots": 1, "target": "t"}


def test_headline_of_several_targets_is_their_mean_at_shots_that_all_have(tmp_path):
    few = params_of(targets={"t": {"shots": [1, 10]}, "u": {"shots": [10, 20]}})
    assert summarise(tmp_path, params=few)["headline"] == {"weights": "fresh", "shots": 10, "target": OVERALL}
    none = params_of(targets={"t": {"shots": [1]}, "u": {"shots": [10]}})
    assert summarise(tmp_path, params=none)["headline"] == {"weights": "fresh", "shots": 1, "target": "t"}


def test_bad_input(tmp_path):
    with pytest.raises(BenchError, match="unknown suite 'hnad'; did you mean 'hand'"):
        analyse(params_of(), "hnad", tmp_path)
    with pytest.raises(BenchError, match="no result files of the suite hand"):
        analyse(params_of(), "hand", tmp_path)
    with pytest.raises(
        BenchError, match=r"dense\.json: default channel 1.0 fresh t, 5 shots, seed 0, draw 0 is given twice"
    ):
        summarise(tmp_path, ROWS | {"dense": ROWS["dense"] * 2})
    with pytest.raises(BenchError, match="no such file"):
        read_summary(tmp_path, "hand")
    path = tmp_path / "reports" / "analysis" / "hand" / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 99}')
    with pytest.raises(BenchError, match="expected a summary of schema 4"):
        read_summary(tmp_path, "hand")


def test_files(tmp_path):
    results = tmp_path / "reports" / "results" / "hand"
    for method, found in ROWS.items():
        write_results(results / f"{method}.json", found, {"device": "cpu"})
    folder = tmp_path / "reports" / "analysis" / "hand"
    summary = analyse_suite(params_of(), "hand", tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"summary.json", "metrics.json", "accuracy.csv"}
    assert read_summary(tmp_path, "hand") == summary
    analyse_suite(params_of(), "hand", tmp_path)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert json.loads(before["metrics.json"]) == {
        "t": {"channel": {"dense_accuracy": 0.9, "area": {"uniform": 0.66, "dap": 0.78}}}
    }
    lines = before["accuracy.csv"].decode().splitlines()
    assert lines[0] == "method,granularity,target,shots,weights,complexity,accuracy"
    assert lines[1] == "dense,channel,t,5,fresh,1.0,0.9"
    assert "dap,channel,t,5,fresh,0.09,0.78" in lines


def test_floats_have_six_digits(tmp_path):
    def floats(value):
        if isinstance(value, float):
            yield value
        elif isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                yield from floats(item)

    found = list(floats(summarise(tmp_path)))
    assert found and all(value == float(f"{value:.6g}") for value in found)
