import math

import pytest
from hand_made import ROWS, SEEDS, half_of, only, p_of, params_of, row, summarise

from benchmark.analysis.grid import expected, variants_of
from benchmark.analysis.groups import OVERALL
from benchmark.errors import BenchError
from benchmark.files import write_json

# Two targets: u is another task, with one draw more at 5 shots, and alone at 20.
TARGETS = {"t": {}, "u": {"shots": [5, 20], "draws": 3}}


def on_u(rows, shots, draws, shift):
    """The same rows on the target u, with an accuracy that differs by `shift` and does not depend on the draw."""
    base = {(r.method, r.budget, r.seed): r for r in rows if r.draw == 0}.values()
    return [
        r.model_copy(
            update={"target": "u", "shots": shots, "draw": d, "accuracy": r.accuracy + shift, "train_flops": 400}
        )
        for r in base
        for d in range(draws)
    ]


def two_targets():
    return {method: [*rows, *on_u(rows, 5, 3, -0.3), *on_u(rows, 20, 3, -0.2)] for method, rows in ROWS.items()}


def test_combinations_are_those_of_each_target():
    asked = list(expected(params_of(targets=TARGETS), "hand"))
    assert {(key.target, key.shots) for key in asked} == {("t", 5), ("u", 5), ("u", 20)}
    assert len(asked) == 3 * (1 + 2 + 2)


def test_what_a_target_lacks_is_not_missing(tmp_path):
    params = params_of(targets=TARGETS)
    assert summarise(tmp_path, two_targets(), params)["missing"] == []
    rows = two_targets()
    rows["uniform"] = [r for r in rows["uniform"] if (r.target, r.shots, r.seed, r.draw) != ("u", 20, 1, 2)]
    hole = only(summarise(tmp_path, rows, params)["missing"], method="uniform")
    # Draws 2 at two budgets; 3 seeds x 2 budgets x (2 draws on t, 3 and 3 on u) were asked for.
    assert (hole["absent"], hole["expected"]) == (2, 3 * 2 * (2 + 3 + 3))
    assert hole["cells"][0] == {"target": "u", "budget": 0.1, "shots": 20, "seed": 1, "draws": [2]}


def test_mean_over_targets_by_hand(tmp_path):
    summary = summarise(tmp_path, two_targets(), params_of(targets=TARGETS))
    cell = only(summary["cells"], target=OVERALL, method="dap", budget=0.1)
    # On t 0.72 and 0.84 by seed; on u the first draws 0.70 and 0.82 less 0.3. Every target counts the same.
    assert cell["by_seed"] == pytest.approx([(0.72 + 0.40) / 2, (0.84 + 0.52) / 2, (0.78 + 0.46) / 2])
    assert cell["half"] == pytest.approx(half_of(0.12), rel=1e-5)
    assert (cell["shots"], cell["seeds"], cell["rows"]) == (5, 3, 3 * (2 + 3))
    assert cell["train_flops"] == (100 + 400) / 2
    # One draw of each target: on t a variance of 0.0008, on u none.
    assert cell["draw_sd"] == pytest.approx(math.sqrt(0.0008 / 4), rel=1e-5)
    assert cell["compression"] == 10.0


def test_mean_is_only_where_two_targets_share_the_shots(tmp_path):
    summary = summarise(tmp_path, two_targets(), params_of(targets=TARGETS))
    assert {(c["target"], c["shots"]) for c in summary["cells"]} == {("t", 5), ("u", 5), ("u", 20), (OVERALL, 5)}
    assert summary["axes"]["shots"] == {"t": [5], "u": [5, 20]}
    assert summary["headline"]["target"] == OVERALL
    assert {c["target"] for c in summarise(tmp_path)["cells"]} == {"t"}


def test_a_seed_that_lacks_a_target_has_no_mean(tmp_path):
    rows = two_targets()
    rows["dap"] = [r for r in rows["dap"] if (r.target, r.seed, r.budget) != ("u", 1, 0.1)]
    summary = summarise(tmp_path, rows, params_of(targets=TARGETS))
    cell = only(summary["cells"], target=OVERALL, method="dap", budget=0.1)
    assert cell["by_seed"] == pytest.approx([0.56, None, 0.62])
    assert only(summary["areas"], target=OVERALL, method="dap", shots=5)["seeds"] == 2
    rows["dap"] = [r for r in rows["dap"] if r.target == "t"]
    means = [c for c in summarise(tmp_path, rows, params_of(targets=TARGETS))["cells"] if c["target"] == OVERALL]
    assert {c["method"] for c in means} == {"dense", "uniform"}


def test_mean_has_areas_gaps_and_families_of_its_own(tmp_path):
    params = params_of(targets=TARGETS, transfer={"weights": ["fresh", "inherit"]})
    rows = two_targets()
    rows["dap"] += [r.model_copy(update={"weights": "inherit", "accuracy": r.accuracy + 0.05}) for r in rows["dap"]]
    summary = summarise(tmp_path, rows, params)
    area = only(summary["areas"], target=OVERALL, method="dap", weights="fresh")
    assert area["by_seed"] == pytest.approx([0.56, 0.68, 0.62])
    assert only(summary["gaps"], target=OVERALL)["difference"] == pytest.approx(0.05)
    test = only(summary["tests"], target=OVERALL, method="uniform", measure="area")
    # By seed: uniform has 0.61 and 0.71 on t, 0.30 and 0.40 on u.
    assert test["difference"] == pytest.approx((0.56 - 0.455 + 0.68 - 0.555) / 2)
    assert test["family_size"] == 1
    assert only(summary["tests"], target=OVERALL, method="uniform", budget=0.1)["family_size"] == 2


def doubled(gain, **changes):
    """The arm's rows of a dense control that gains `gain` by seed from twice the training."""
    return [
        r.model_copy(
            update={
                "arm": "twice",
                "accuracy": r.accuracy + gain[r.seed],
                "source_accuracy": r.source_accuracy + 0.02 + 0.01 * SEEDS[r.seed],
                **changes,
            }
        )
        for r in ROWS["dense"]
    ]


ARMS = {"transfer": {"controls": ["twice"]}}


def test_twice_by_hand(tmp_path):
    rows = ROWS | {"dense": ROWS["dense"] + doubled({0: 0.01, 1: -0.03, 2: -0.01})}
    summary = summarise(tmp_path, rows, params_of(**ARMS))
    source, target = summary["twice"]
    assert source == {
        "on": "source",
        "target": "",
        "shots": None,
        "dense": 0.9,
        "twice": pytest.approx(0.925),
        "difference": pytest.approx(0.025),
        "half": pytest.approx(half_of(0.01), rel=1e-5),
        "seeds": 3,
        "p": pytest.approx(p_of(0.025, 0.01), rel=1e-5),
    }
    assert (target["on"], target["target"], target["shots"]) == ("target", "t", 5)
    assert (target["dense"], target["twice"]) == (0.9, pytest.approx(0.89))
    assert (target["difference"], target["half"]) == (pytest.approx(-0.01), pytest.approx(half_of(0.04), rel=1e-5))


def test_twice_is_paired_by_seed(tmp_path):
    only_one = [r for r in doubled({0: 0.01, 1: 0.05, 2: 0.0}) if r.seed == 1]
    records = summarise(tmp_path, ROWS | {"dense": ROWS["dense"] + only_one}, params_of(**ARMS))["twice"]
    assert [(r["seeds"], r["half"]) for r in records] == [(1, None)] * 2
    assert records[1]["difference"] == pytest.approx(0.05)


def test_twice_over_targets(tmp_path):
    rows = two_targets()
    rows["dense"] += [
        r.model_copy(update={"arm": "twice", "accuracy": r.accuracy + (0.02 if r.target == "t" else 0.04)})
        for r in rows["dense"]
    ]
    records = summarise(tmp_path, rows, params_of(targets=TARGETS, **ARMS))["twice"]
    found = {(r["target"], r["shots"]): r["difference"] for r in records}
    expected_gains = {("", None): 0.0, ("t", 5): 0.02, ("u", 5): 0.04, ("u", 20): 0.04, (OVERALL, 5): 0.03}
    assert found == pytest.approx(expected_gains)


def test_the_dense_control_counts_once_over_granularities(tmp_path):
    dense = ROWS["dense"] + doubled({0: 0.01, 1: 0.01, 2: 0.01})
    dense += [r.model_copy(update={"granularity": "weight"}) for r in dense]
    params = params_of(grid={"granularities": ["channel", "weight"]}, **ARMS)
    assert len(summarise(tmp_path, ROWS | {"dense": dense}, params)["twice"]) == 2


def test_arms_are_no_part_of_the_grid(tmp_path):
    plain = summarise(tmp_path)
    rows = ROWS | {"dense": ROWS["dense"] + doubled({0: 0.01, 1: 0.01, 2: 0.01})}
    for params in (params_of(), params_of(**ARMS)):
        summary = summarise(tmp_path, rows, params)
        assert summary["cells"] == plain["cells"] and summary["missing"] == []
        assert summary["unexpected_rows"] == 0
        assert len(summary["twice"]) == (2 if params.suites["hand"].transfer.controls else 0)
    with pytest.raises(BenchError, match=r"draw 0, arm twice is given twice"):
        summarise(tmp_path, {"dense": rows["dense"] + rows["dense"][6:]}, params_of(**ARMS))


def test_variants_of_a_suite():
    variants = {name: {"params": {}} for name in ("init", "pretrained")}
    variants["live"] = {"params": {}, "granularities": ["weight"]}
    settings = {"method_settings": {"dap": {"variants": variants}}}
    every = params_of(**settings)
    assert variants_of(every, "hand", "dap", "channel") == ["", "init", "pretrained"]
    some = params_of(suite_methods={"dap": {"variants": ["live", "init"]}}, **settings)
    assert variants_of(some, "hand", "dap", "weight") == ["", "live", "init"]
    assert variants_of(some, "hand", "dap", "channel") == ["", "init"]
    none = params_of(suite_methods={"dap": {"variants": []}}, **settings)
    assert {key.variant for key in expected(none, "hand")} == {""}


def test_data_and_tuning_are_in_the_summary(tmp_path):
    alike = {"threshold": 0.99, "side": 16, "pairs": 3, "images": 2, "exact": 1, "closest": [[0, 1, 1.0]]}
    manifest = {"name": "x", "digest": "d", "source": "s", "count": 50, "classes": ["a", "b", "c", "d"]}
    manifests = dict.fromkeys(TARGETS, manifest)
    content = {"schema": 1, "source": manifest, "targets": manifests, "near_duplicates": {"t": alike}}
    write_json(tmp_path / "data.json", content)
    tried = [{"lr": 0.1, "accuracy": 0.5}, {"lr": 0.2, "accuracy": 0.6}]
    rate = {"granularity": "channel", "budget": 0.1, "kind": "finetune", "lr": 0.2, "tried": tried}
    write_json(tmp_path / "tuning.json", {"schema": 1, "rates": [{**rate, "cell": "c"}]})
    summary = summarise(tmp_path, two_targets(), params_of(targets=TARGETS | {"u": {"ways": 2}}))
    assert summary["tuning"] == [rate]
    assert summary["data"]["t"]["near_duplicates"] == {k: v for k, v in alike.items() if k != "closest"}
    assert summary["data"]["u"] == {"images": 50, "chance": 0.5, "near_duplicates": None}
    assert summary["data"]["t"]["chance"] == 0.25
    write_json(tmp_path / "tuning.json", {"schema": 2, "rates": []})
    with pytest.raises(BenchError, match=r"tuning\.json: expected an object of schema 1"):
        summarise(tmp_path)


def test_without_them_the_summary_says_nothing(tmp_path):
    summary = summarise(tmp_path)
    assert (summary["data"], summary["tuning"], summary["twice"]) == ({}, [], [])


def test_rows_beyond_a_target_s_draws_are_not_asked_for(tmp_path):
    rows = ROWS | {"dense": [*ROWS["dense"], row("dense", 1.0, 0, 2, 0.1), row("dense", 1.0, 0, 0, 0.1, shots=20)]}
    assert summarise(tmp_path, rows)["unexpected_rows"] == 2
