import pytest
from hand_made import ROWS, half_of, only, params_of, summarise

from benchmark.analysis.grid import CellKey
from benchmark.analysis.groups import group
from benchmark.analysis.rules import against_rules, free

HEADLINE = {"weights": "fresh", "target": "t", "shots": 5}
RULES = {("uniform", ""), ("flat", ""), ("flat", "last")}
# Student's quantiles with two degrees of freedom at 1 - 0.025 / m, from t = (2p - 1) / sqrt(2 p (1 - p)).
T = {m: (1 - 0.05 / m) / (2 * (1 - 0.025 / m) * 0.025 / m) ** 0.5 for m in (1, 3, 6)}


def key(method, budget=0.1, variant="", **changes):
    return CellKey("channel", method, variant, "fresh", "t", budget, 5)._replace(**changes)


def around(mean, spread):
    return {0: mean - spread, 1: mean + spread, 2: mean}


VALUES = {
    key("dap"): {0: 0.7, 1: 0.7, 2: 0.7},
    key("uniform"): around(0.6, 0.01),
    key("flat"): around(0.65, 0.02),
    key("flat", variant="last"): around(0.5, 0.0),
    key("darts"): around(0.9, 0.0),
    key("uniform", shots=1): around(0.9, 0.0),
    key("uniform", weights="inherit"): around(0.9, 0.0),
}


def test_the_best_rule_by_hand():
    each, (best,) = against_rules({"accuracy": VALUES}, RULES, "dap", HEADLINE)
    assert [(r["method"], r["variant"]) for r in each] == [("uniform", ""), ("flat", ""), ("flat", "last")]
    assert [r["difference"] for r in each] == pytest.approx([0.1, 0.05, 0.2])
    # Standard errors 0.01, 0.02 and 0 by the root of three; three intervals hold together.
    joint = [T[3] * spread / 3**0.5 for spread in (0.01, 0.02, 0.0)]
    assert [r["joint_half"] for r in each] == pytest.approx(joint)
    assert each[0]["half"] == pytest.approx(half_of(0.02))
    assert best == {
        "granularity": "channel",
        "shots": 5,
        "measure": "accuracy",
        "budget": 0.1,
        "best": {"method": "flat", "variant": ""},
        "rules": 3,
        "difference": pytest.approx(0.05),
        "low": pytest.approx(0.05 - joint[1]),
        # The lower ends are the closest rule's; the smallest upper end is another's.
        "high": pytest.approx(min(0.1 + joint[0], 0.05 + joint[1], 0.2)),
        "seeds": 3,
    }


def test_budgets_share_a_family_and_measures_do_not():
    two = VALUES | {place._replace(budget=0.01): values for place, values in VALUES.items()}
    each, best = against_rules({"accuracy": two, "area": VALUES}, RULES, "dap", HEADLINE)
    ratio = {r["measure"]: r["joint_half"] / r["half"] for r in each if r["method"] == "uniform"}
    assert ratio == pytest.approx({"accuracy": T[6] / T[1], "area": T[3] / T[1]})
    assert [(b["measure"], b["budget"]) for b in best] == [("accuracy", 0.1), ("accuracy", 0.01), ("area", 0.1)]


def test_two_seeds_have_no_interval_for_the_best_rule():
    few = {place: {s: v for s, v in values.items() if s < 2} for place, values in VALUES.items()}
    _, (best,) = against_rules({"accuracy": few}, RULES, "dap", HEADLINE)
    assert (best["difference"], best["low"], best["high"], best["seeds"]) == (pytest.approx(0.05), None, None, 2)


def test_free_rules_are_those_that_cost_nothing(tmp_path):
    rows = {
        "dense": ROWS["dense"],
        "dap": ROWS["dap"],
        "uniform": [r.model_copy(update={"search_flops": 0, "pretrain_flops": 0}) for r in ROWS["uniform"]],
    }
    params = params_of()
    groups, _ = group(params, "hand", {tmp_path / m: found for m, found in rows.items()})
    assert free(groups, "fresh") == {("uniform", "")}
    summary = summarise(tmp_path, rows, params)
    assert only(summary["best_rule"], measure="accuracy", budget=0.1)["difference"] == pytest.approx(0.12)
    assert summarise(tmp_path, ROWS, params)["best_rule"] == [], "hand-made rows pretrain and search"
