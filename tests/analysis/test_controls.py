import pytest
from hand_made import ROWS, half_of, only, p_of, params_of, summarise

from benchmark.analysis.controls import against_grid, verdict
from benchmark.analysis.grid import CellKey
from benchmark.analysis.intervals import Paired


def in_arm(arm, change):
    """The rows of DAP and uniform in an arm, where the accuracy of seed s changes by `change[s]`."""
    return {
        method: [r.model_copy(update={"arm": arm, "accuracy": r.accuracy + change[r.seed]}) for r in ROWS[method]]
        for method in ("dap", "uniform")
    }


def summary_of(tmp_path, arms, *rows):
    together = {method: [*found, *(r for part in rows for r in part.get(method, []))] for method, found in ROWS.items()}
    return summarise(tmp_path, together, params_of(transfer={"controls": arms}))


def test_an_arm_by_hand(tmp_path):
    records = summary_of(tmp_path, ["inverted"], in_arm("inverted", {0: -0.10, 1: -0.12, 2: -0.11}))["arms"]
    assert len(records) == 2 * (2 + 1)
    # In the grid 0.72, 0.84 and 0.78 by seed.
    record = only(records, method="dap", budget=0.1)
    assert record == {
        "arm": "inverted",
        "granularity": "channel",
        "method": "dap",
        "measure": "accuracy",
        "budget": 0.1,
        "target": "t",
        "shots": 5,
        "in_grid": pytest.approx(0.78),
        "in_arm": pytest.approx(0.67),
        "difference": pytest.approx(-0.11),
        "half": pytest.approx(half_of(0.02), rel=1e-5),
        "seeds": 3,
        # The smallest p of four equal ones is multiplied by four.
        "p": pytest.approx(p_of(0.11, 0.02), rel=1e-4),
        "p_holm": pytest.approx(4 * p_of(0.11, 0.02), rel=1e-4),
        "verdict": None,
    }
    area = only(records, method="dap", measure="area")
    assert area["difference"] == pytest.approx(-0.11)
    # 0.11 is more than the half width 0.025.
    assert (area["budget"], area["verdict"]) == (None, "order matters")
    assert area["p_holm"] == pytest.approx(2 * area["p"], rel=1e-4)


def test_families_are_those_of_one_arm(tmp_path):
    arms = [in_arm("inverted", {0: -0.1, 1: -0.12, 2: -0.11}), in_arm("labels", {0: 0.0, 1: 0.0, 2: 0.0})]
    records = summary_of(tmp_path, ["inverted", "labels"], *arms)["arms"]
    alone = summary_of(tmp_path, ["inverted"], arms[0])["arms"]
    assert [r for r in records if r["arm"] == "inverted"] == alone
    assert {r["p_holm"] for r in records if r["arm"] == "labels"} == {1.0}
    assert only(records, arm="labels", measure="area", method="dap")["verdict"] == "labels not seen to matter"


def test_granularities_are_families_of_their_own():
    grid = {
        CellKey(g, "dap", "", "fresh", "t", b, 5): {0: 0.5, 1: 0.5, 2: 0.5}
        for g in ("channel", "weight")
        for b in (0.5, 0.1)
    }
    other = {key: {0: 0.4, 1: 0.38, 2: 0.39} for key in grid}
    found = against_grid("flops", "accuracy", grid, other, {"target": "t", "shots": 5})
    assert [r["p_holm"] / r["p"] for r in found] == pytest.approx([2.0] * 4)
    assert against_grid("flops", "accuracy", grid, other, {"target": "t", "shots": 1}) == []


@pytest.mark.parametrize(
    ("arm", "mean", "half", "word"),
    [
        ("shuffled", 0.0, 0.0, "ratios only"),
        ("shuffled", -0.02, 0.03, "ratios only"),
        ("shuffled", -0.02, 0.01, "units matter"),
        ("shuffled", 0.02, 0.01, "units matter"),
        ("shuffled", -0.02, None, "fewer than 3 seeds: unknown"),
        ("inverted", -0.02, 0.01, "order matters"),
        ("inverted", 0.02, 0.01, "better inverted"),
        ("labels", -0.02, 0.01, "labels matter"),
        ("labels", 0.02, 0.01, "better without labels"),
        ("flops", 0.02, 0.01, "longer is better"),
        ("flops", -0.02, 0.01, "longer is worse"),
        ("flops", 0.02, 0.03, "no gain seen"),
    ],
)
def test_a_verdict_is_read_from_the_interval(arm, mean, half, word):
    assert verdict(arm, Paired(mean, half, 2, 0.5)) == word


def test_a_suite_without_these_arms_has_no_word_of_them(tmp_path):
    plain = summarise(tmp_path)
    assert "arms" not in plain and "arms" not in plain["conventions"]
    assert "arms" not in summary_of(tmp_path, ["twice"], in_arm("inverted", {0: 0.0, 1: 0.0, 2: 0.0}))
    assert summary_of(tmp_path, ["inverted"], in_arm("inverted", {0: 0.1, 1: 0.0, 2: 0.0}))["cells"] == plain["cells"]
