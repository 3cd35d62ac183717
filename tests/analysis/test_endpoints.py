import pytest
from hand_made import ROWS, half_of, p_of, params_of, summarise, with_primary

from benchmark.errors import BenchError

ENDPOINT = {
    "contrast": ["dap", "uniform"],
    "shots": [5],
    "budgets": [0.1, 0.01],
    "measure": "finetune",
    "cost": "params",
}


def test_an_endpoint_by_hand(tmp_path):
    rows = ROWS | {
        "dap": [r.model_copy(update={"accuracy": r.accuracy + 0.04 * (r.budget < 0.1)}) for r in ROWS["dap"]]
    }
    (found,) = summarise(tmp_path, rows, with_primary(params_of(), ENDPOINT))["primary"]
    # At 10 % 0.11, 0.13 and 0.12 by seed, at 1 % 0.04 more: the mean of both.
    assert found["difference"] == pytest.approx(0.14)
    assert found["half"] == found["joint_half"] == pytest.approx(half_of(0.02), rel=1e-5)
    assert found["p"] == found["p_holm"] == pytest.approx(p_of(0.14, 0.02), rel=1e-4)
    assert (found["first_mean"], found["second_mean"], found["seeds"]) == (pytest.approx(0.8), pytest.approx(0.66), 3)
    assert (found["first"], found["second"], found["granularity"]) == ("dap", "uniform", "channel")


def test_holm_and_the_joint_interval_run_over_the_primary_endpoints_alone(tmp_path):
    one = ENDPOINT | {"budgets": [0.1]}
    other = ENDPOINT | {"contrast": ["dap", "dense"]}
    first, second = summarise(tmp_path, params=with_primary(params_of(), one, other))["primary"]
    assert (first["difference"], second["difference"]) == (pytest.approx(0.12), pytest.approx(-0.12))
    # 0.11, 0.13 and 0.12 by seed; -0.18, -0.06 and -0.12.
    assert first["p_holm"] == pytest.approx(2 * p_of(0.12, 0.02), rel=1e-4)
    assert second["p_holm"] == pytest.approx(p_of(0.12, 0.12), rel=1e-4)
    # Student's quantile at 98.75 %, two degrees of freedom, from a printed table: 6.2053.
    assert first["joint_half"] / first["half"] == pytest.approx(6.2053 / 4.3027, rel=1e-4)


def test_a_seed_counts_only_with_everything_that_is_asked(tmp_path):
    rows = ROWS | {"uniform": [r for r in ROWS["uniform"] if (r.seed, r.budget) != (1, 0.01)]}
    (found,) = summarise(tmp_path, rows, with_primary(params_of(), ENDPOINT))["primary"]
    assert (found["seeds"], found["half"], found["p"]) == (2, None, None)
    (none,) = summarise(tmp_path, ROWS | {"uniform": []}, with_primary(params_of(), ENDPOINT))["primary"]
    assert (none["first"], none["difference"], none["p_holm"], none["joint_half"]) == ("dap", None, None, None)


def test_an_endpoint_over_targets_and_variants(tmp_path):
    both = {"t": {}, "u": {"shots": [5, 20]}}
    params = params_of(targets=both, method_settings={"uniform": {"variants": {"last": {"params": {}}}}})
    rows = {m: [*found, *(r.model_copy(update={"target": "u"}) for r in found)] for m, found in ROWS.items()}
    rows["dap"] = [r.model_copy(update={"accuracy": r.accuracy + 0.02 * (r.target == "u")}) for r in rows["dap"]]
    rows["uniform"] += [r.model_copy(update={"variant": "last"}) for r in rows["uniform"]]
    endpoints = [ENDPOINT | {"contrast": ["dap", "uniform+last"]}, ENDPOINT | {"targets": ["u"]}]
    mean, alone = summarise(tmp_path, rows, with_primary(params, *endpoints))["primary"]
    assert (mean["difference"], alone["difference"]) == (pytest.approx(0.13), pytest.approx(0.14))


def test_endpoints_see_every_slice(tmp_path):
    params = params_of(grid={"costs": ["params", "macs"]})
    macs = {
        m: [r.model_copy(update={"cost": "macs", "accuracy": r.accuracy / 2}) for r in found]
        for m, found in ROWS.items()
    }
    rows = {m: [*found, *macs[m]] for m, found in ROWS.items()}
    first, second = summarise(tmp_path, rows, with_primary(params, ENDPOINT, ENDPOINT | {"cost": "macs"}))["primary"]
    assert (first["difference"], second["difference"]) == (pytest.approx(0.12), pytest.approx(0.06))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contrast": ["dap", "unifrom"]}, r"unknown method 'unifrom'; did you mean 'uniform'"),
        ({"contrast": ["dap", "uniform+last"]}, r"unknown variant 'last'"),
        ({"contrast": ["dap", "dap"]}, "given twice"),
        ({"shots": [7]}, r"primary\.0\.shots: 7 is not in this suite, which has 5"),
        ({"budgets": [0.3]}, r"primary\.0\.budgets: 0\.3 is not in this suite"),
        ({"measure": "nearest"}, r"primary\.0\.measure: nearest is not in this suite, which has finetune"),
        ({"cost": "macs"}, r"primary\.0\.cost: macs is not in this suite, which has params"),
        ({"targets": ["v"]}, r"primary\.0\.targets: v is not in this suite, which has t"),
        ({"weights": "inherit"}, r"primary\.0\.weights: inherit"),
        ({"granularity": "weight"}, r"primary\.0\.granularity: weight"),
    ],
)
def test_an_endpoint_that_no_row_can_answer_is_refused(change, message):
    with pytest.raises(BenchError, match=message):
        with_primary(params_of(), ENDPOINT | change)
