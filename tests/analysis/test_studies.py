import math

import pytest
from hand_made import ROWS, half_of, only, p_of, params_of, row, summarise

from benchmark.analysis.grid import CellKey
from benchmark.analysis.studies import against_default, relative_costs, searches, spread
from benchmark.config.ablations import Study
from benchmark.files import write_json

STUDY = Study("law", "dap", ("a", "b"))
HEADLINE = {"target": "t", "shots": 5}


def key(variant, weights="fresh", granularity="channel", **changes):
    return CellKey(granularity, "dap", variant, weights, "t", 0.0, 5)._replace(**changes)


def test_differences_from_the_default_by_hand():
    areas = {
        key(""): {0: 0.5, 1: 0.6, 2: 0.55},
        key("a"): {0: 0.4, 1: 0.48, 2: 0.44},
        key("b"): {0: 0.6, 1: 0.6, 2: 0.6},
        key("a", "inherit"): {0: 0.7, 1: 0.7},
        key("c"): {0: 0.9, 1: 0.9},
        key("a", shots=1): {0: 0.9, 1: 0.9},
        key("a", method="darts"): {0: 0.9, 1: 0.9},
    }
    found = against_default(STUDY, "small", areas, HEADLINE)
    assert [(r["variant"], r["weights"]) for r in found] == [
        ("", "fresh"),
        ("a", "fresh"),
        ("b", "fresh"),
        ("a", "inherit"),
    ]
    default = found[0]
    assert default["area"] == pytest.approx(0.55)
    assert (default["difference"], default["half"], default["p_holm"]) == (None, None, None)
    p_a, p_b = p_of(0.11, 0.02), p_of(0.05, 0.1)
    assert found[1] == {
        "study": "law",
        "granularity": "channel",
        "weights": "fresh",
        "budgets": "small",
        "method": "dap",
        "variant": "a",
        "area": pytest.approx(0.44),
        "area_half": pytest.approx(half_of(0.08)),
        # By seed -0.10, -0.12 and -0.11.
        "difference": pytest.approx(-0.11),
        "half": pytest.approx(half_of(0.02)),
        "seeds": 3,
        "p": pytest.approx(p_a),
        "p_holm": pytest.approx(2 * p_a),
    }
    # By seed 0.1, 0 and 0.05. The larger of two p-values is multiplied by one.
    assert (found[2]["p"], found[2]["p_holm"]) == (pytest.approx(p_b), pytest.approx(p_b))
    assert found[3]["difference"] is None, "no default with these weights"


def test_spread_by_hand():
    # 2 and 4: mean 3, deviation sqrt 2. 5 and 5 do not differ, nor do 0 and 0.
    kept = [{"x": 2, "y": 5, "z": 0}, {"x": 4, "y": 5, "z": 0}]
    assert spread(kept) == pytest.approx(math.sqrt(2) / 3 / 3)
    assert spread(kept[:1]) is None


def content(**without):
    def architecture(variant, budget, seed, kept, gap):
        found = {"variant": variant, "granularity": "channel", "budget": budget, "seed": seed, "kept": {"x": kept}}
        found |= {"cost": "params", "sizes": {"x": 16}, "file": "a.safetensors", "search_cell": "c"}
        return found | ({} if "notes" in without else {"notes": {"relaxed": 0.5 + gap, "discrete": 0.5}})

    place = {"variant": "a", "granularity": "channel"}
    made = {
        "architectures": [
            architecture("a", 0.5, 0, 8, 0.0),
            architecture("a", 0.5, 1, 8, 0.2),
            architecture("a", 0.1, 0, 2, 0.1),
            architecture("a", 0.1, 1, 4, 0.1),
            architecture("a", 0.05, 0, 1, 0.2),
            architecture("a", 0.05, 1, 1, 0.3),
        ],
        "traces": [
            {**place, "seed": s, "points": [{"step": 0, "undecided": 1.0}, {"step": 1, "undecided": u}]}
            for s, u in ((0, 0.2), (1, 0.4))
        ],
        "overlaps": [{**place, "budget": b, "pairs": 1, "share": 0.5 + b, "chance": b} for b in (0.5, 0.1, 0.05)],
        "nested": [{**place, "budget": b, "seed": s, "share": 0.8 + 0.1 * s} for b in (0.1, 0.05) for s in (0, 1)],
    }
    return {name: value for name, value in made.items() if name not in without}


BUDGETS = [0.05, 0.5, 0.1]


def test_searches_by_hand():
    found = searches(STUDY, content(), ["channel", "weight"], BUDGETS, {("channel", "dap", "a"): 1.5})
    assert [(r["budgets"], r["budget"]) for r in found] == [
        ("all", None),
        ("small", None),
        (None, 0.5),
        (None, 0.1),
        (None, 0.05),
    ]
    third = math.sqrt(2) / 3
    assert found[0] == {
        "study": "law",
        "granularity": "channel",
        "method": "dap",
        "variant": "a",
        "budgets": "all",
        "budget": None,
        # Means over three budgets within a seed: 0.1 and 0.2.
        "gap": pytest.approx(0.15),
        "gap_half": None,  # two seeds
        "seeds": 2,
        "spread": pytest.approx(third / 3),
        "overlap": pytest.approx(0.5 + 0.65 / 3),
        "chance": pytest.approx(0.65 / 3),
        "nested": pytest.approx(0.85),
        "undecided": pytest.approx(0.3),
        "search_cost": 1.5,
    }
    few = found[1]
    assert (few["gap"], few["spread"]) == (pytest.approx(0.175), pytest.approx(third / 2))
    assert (few["undecided"], few["search_cost"]) == (None, None)
    assert (found[2]["gap"], found[2]["nested"]) == (pytest.approx(0.1), None), "nothing is larger than the largest"
    assert (found[4]["gap"], found[4]["spread"], found[4]["nested"]) == (pytest.approx(0.25), 0.0, pytest.approx(0.85))


def test_an_older_search_file_has_what_it_has():
    older = content(notes=True, overlaps=True, nested=True)
    first = searches(STUDY, older, ["channel"], BUDGETS, {})[0]
    lacking = ("gap", "gap_half", "overlap", "chance", "nested", "search_cost")
    assert [first[name] for name in lacking] == [None] * len(lacking)
    assert first["spread"] == pytest.approx(math.sqrt(2) / 9)


def test_costs_in_pretrainings():
    dense = {0: [row("dense", 1.0, 0, 0, 0.9, pretrain_flops=200)], 1: [row("dense", 1.0, 1, 0, 0.9, pretrain_flops=0)]}
    dap = {s: [row("dap", 0.1, s, 0, 0.9, pretrain_flops=0, search_flops=300)] for s in (0, 1)}
    groups = {key("", method="dense"): dense, key("a"): dap}
    assert relative_costs(groups)["channel", "dap", "a"] == 1.5
    assert relative_costs({key("a"): dap}) == {}


def test_a_summary_with_a_study(tmp_path):
    settings = {"dap": {"variants": {"a": {"params": {}, "study": "law"}}}}
    budgets = (0.5, 0.1, 0.01)
    rows = {
        "dap": [
            row("dap", b, s, d, 0.5 + 0.1 * s - (0.02 if v and b <= 0.1 else 0), variant=v)
            for v in ("", "a")
            for b in budgets
            for s in (0, 1)
            for d in (0, 1)
        ]
    }
    write_json(tmp_path / "dap.search.json", {"schema": 1, **content()})
    params = params_of(methods=["dap"], method_settings=settings, grid={"budgets": list(budgets)})
    summary = summarise(tmp_path, rows, params)
    assert summary["studies"] == [{"study": "law", "method": "dap", "variants": {"a": {}}}]
    few = only(summary["study_areas"], variant="a", budgets="small")
    assert few["difference"] == pytest.approx(-0.02)
    # From 50 % to 10 % the difference grows from zero, below it is 0.02 throughout.
    lost = 0.02 * (math.log(5) / 2 + math.log(10)) / math.log(50)
    assert only(summary["study_areas"], variant="a", budgets="all")["difference"] == pytest.approx(-lost, rel=1e-5)
    assert only(summary["study_searches"], budget=0.1)["gap"] == pytest.approx(0.1)
    (setting,) = summary["study_settings"]
    assert setting["difference"] == pytest.approx(-lost, rel=1e-5)
    assert not setting["ahead"]
    assert "study_areas" in summary["conventions"]


def test_a_summary_without_studies_has_no_word_of_them(tmp_path):
    assert not [name for name in summarise(tmp_path, ROWS) if "stud" in name]
