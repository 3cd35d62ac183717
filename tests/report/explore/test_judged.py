import pytest

from benchmark.analysis import read_summary
from benchmark.report.explore.judged import FIELDS, judged
from benchmark.report.view import View

SEEDS = [0, 1, 2]
PLACE = {"granularity": "channel", "weights": "fresh", "target": "mnist", "shots": 5}


def cell(method, by_seed, budget=0.1, variant="", search_flops=0, **place):
    found = [value for value in by_seed if value is not None]
    mean = {"accuracy": sum(found) / len(found), "half": 0.01, "seeds": len(found), "by_seed": by_seed}
    cost = {"pretrain_flops": 0, "search_flops": search_flops}
    return PLACE | place | {"method": method, "variant": variant, "budget": budget} | mean | cost


def view_of(reported, *cells):
    summary = read_summary(reported.root, "small")
    return View(summary | {"cells": list(cells)})


def by_method(reported, *cells):
    return {(one["method"], one["variant"]): one for one in judged(view_of(reported, *cells))}


def test_marks_and_differences_by_hand(reported):
    found = by_method(
        reported,
        cell("dense", [0.9, 0.92, 0.94], budget=1.0),
        cell("dap", [0.80, 0.82, 0.84]),
        cell("uniform", [0.70, 0.72, 0.741]),
        cell("my_pruner", [0.70, 0.90, 0.80]),
        cell("dap", [0.95, 0.95, 0.95], variant="init", search_flops=9),
        cell("uniform", [0.99, 0.99, 0.99], budget=0.5),
    )
    assert found["dap", ""]["mark"] == "best" and found["dap", ""]["behind"] is None
    assert found["my_pruner", ""]["mark"] == "unresolved"
    assert found["my_pruner", ""]["behind"] == pytest.approx(0.02)
    assert found["dap", ""]["lost"] == pytest.approx(0.1) and found["dap", ""]["lost_half"] == pytest.approx(
        0, abs=1e-9
    )
    for key in (("dense", ""), ("dap", "init")):
        assert (found[key]["mark"], found[key]["behind"]) == ("", None), "no rivals of the methods"
    assert found["dense", ""]["lost"] is None
    assert found["dap", "init"]["lost"] == pytest.approx(-0.03), "variants have what they lose"


def test_a_variant_of_what_costs_no_search_is_a_rival(reported):
    found = by_method(
        reported,
        cell("dap", [0.80, 0.82, 0.84], search_flops=9),
        cell("uniform", [0.70, 0.72, 0.741]),
        cell("uniform", [0.90, 0.92, 0.94], variant="last"),
    )
    assert found["uniform", "last"]["mark"] == "best" and found["dap", ""]["behind"] == pytest.approx(0.1)


def test_a_resolved_method_is_behind(reported):
    found = by_method(reported, cell("dap", [0.80, 0.82, 0.84]), cell("uniform", [0.7, 0.72, 0.741]))
    assert found["uniform", ""]["mark"] == "" and found["uniform", ""]["behind"] == pytest.approx(0.0997, abs=1e-3)
    assert found["uniform", ""]["behind_half"] is not None
    assert found["uniform", ""]["lost"] is None, "there is no dense control"


def test_variants_of_a_search_are_no_rivals_and_those_of_a_rule_are(reported):
    free = cell("uniform", [0.9, 0.9, 0.9], variant="last", search_flops=0.0, pretrain_flops=0.0)
    dear = cell("dap", [0.9, 0.9, 0.9], variant="init", search_flops=1.0, pretrain_flops=0.0)
    found = by_method(reported, cell("dap", [0.8, 0.8, 0.8]), free, dear, cell("dense", [0.95, 0.95, 0.95]))
    assert {place: one["rival"] for place, one in found.items()} == {
        ("dap", ""): True,
        ("uniform", "last"): True,
        ("dap", "init"): False,
        ("dense", ""): False,
    }


def test_other_places_do_not_mix(reported):
    cells = [cell("dap", [0.5, 0.5, 0.5]), *(cell("uniform", [0.9, 0.9, 0.9], **{k: v}) for k, v in OTHERS.items())]
    assert [one["mark"] for one in judged(view_of(reported, *cells))] == ["best"] * 5


OTHERS = {"granularity": "weight", "weights": "scratch", "target": "kmnist", "shots": 1}


def test_two_seeds_tell_nothing_apart(reported):
    found = judged(view_of(reported, cell("dap", [0.8, 0.8, None]), cell("uniform", [0.1, 0.1, None])))
    assert [one["mark"] for one in found] == ["best", "unresolved"]
    assert found[1]["behind"] == pytest.approx(0.7) and found[1]["behind_half"] is None


def test_real_summaries_have_every_field(reported):
    found = judged(View(read_summary(reported.root, "small")))
    assert all(set(FIELDS) <= set(one) for one in found)
    assert sum(one["mark"] == "best" for one in found) >= 2 * 3 * 3 * 2, "one at least in every place"
