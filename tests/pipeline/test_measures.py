"""A suite that measures frozen features: its rows, its floors, and that the episodes are the same for everyone."""

from pathlib import Path

import pytest
import yaml

from benchmark.analysis.rows import Row
from benchmark.config.params import Params, parse
from benchmark.errors import BenchError
from benchmark.pipeline.collect import floors_of, rows_of
from benchmark.pipeline.plan import Plan
from benchmark.pipeline.stages import plan_of, prepare_data, run_suite

TRANSFER = {
    "weights": ["fresh", "scratch", "inherit"],
    "shots": [1, 5],
    "nearest": {"episodes": 30},
    "probe": {"episodes": 6, "strength": 0.01},
    "retrainings": 2,
}


def params_of(text: str, **changes: object) -> Params:
    content = yaml.safe_load(text)
    content["run"]["methods"] = ["dense", "uniform"]
    suite = content["suites"]["tiny"]
    suite["transfer"] = TRANSFER | changes
    suite["grid"] |= {"granularities": ["channel"], "budgets": [0.1], "costs": ["params", "macs"]}
    return parse(Params, content, "params.yaml")


@pytest.fixture(scope="module")
def plan(tiny_text: str, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    root = tmp_path_factory.mktemp("measures")
    params = params_of(tiny_text)
    assert run_suite(params, ["tiny"], root=root) == 0
    return plan_of(params, "tiny", root, prepare_data(params, "tiny", root))


@pytest.fixture(scope="module")
def rows(plan: Plan) -> list[Row]:
    return rows_of(plan, "uniform")


def test_there_is_a_row_for_every_place(rows: list[Row]) -> None:
    places = {(r.cost, r.seed, r.weights, r.retraining, r.measure, r.shots) for r in rows}
    modes = [("fresh", 0), ("fresh", 1), ("scratch", 0), ("scratch", 1), ("inherit", 0)]
    assert places == {
        (cost, seed, weights, number, measure, shots)
        for cost in ("params", "macs")
        for seed in (0, 1)
        for weights, number in modes
        for measure in ("nearest", "probe")
        for shots in (1, 5)
    }
    assert len(rows) == len(places)
    assert {(r.measure, r.episodes) for r in rows} == {("nearest", 30), ("probe", 6)}
    assert all(r.episode_sd is not None and 0 < r.episode_sd < 0.5 for r in rows)


def test_budgets_are_met_in_the_cost_they_are_shares_of(rows: list[Row], plan: Plan) -> None:
    (dense,) = {(r.params, r.macs) for r in rows_of(plan, "dense")}
    for row in rows:
        spent = row.params / dense[0] if row.cost == "params" else row.macs / dense[1]
        assert row.complexity == pytest.approx(spent) and spent <= 0.1


def test_retrainings_differ_and_features_are_trained_on_the_source(rows: list[Row]) -> None:
    by = {(r.cost, r.seed, r.weights, r.retraining, r.measure, r.shots): r.accuracy for r in rows}
    pairs = [(by[key], by[(*key[:3], 1, *key[4:])]) for key in by if key[2] != "inherit" and key[3] == 0]
    assert sum(one != other for one, other in pairs) > 0.8 * len(pairs)


def test_floors_are_measured_on_the_same_episodes(plan: Plan) -> None:
    found = floors_of(plan)
    assert found["chance"] == {"digits-3-5": pytest.approx(1 / 3)}
    places = {(f["seed"], f["target"], f["shots"], f["measure"], f["episodes"]) for f in found["floors"]}
    assert places == {
        (seed, "digits-3-5", shots, measure, episodes)
        for seed in (0, 1)
        for shots in (1, 5)
        for measure, episodes in (("nearest", 30), ("probe", 6))
    }
    # Pixels of digits say much: the reason why this suite is no headline.
    assert min(f["accuracy"] for f in found["floors"] if f["shots"] == 5) > 0.7


def test_a_suite_that_only_fine_tunes_has_no_floors(tiny_text: str, tmp_path: Path) -> None:
    content = yaml.safe_load(tiny_text)
    params = parse(Params, content, "params.yaml")
    assert plan_of(params, "tiny", tmp_path, prepare_data(params, "tiny", tmp_path)).floor_jobs() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nearest": None, "probe": None}, "nothing is measured; add nearest, probe or finetune"),
        ({"headline": "finetune"}, "headline: finetune is not measured"),
        ({"finetune": {"steps": 1, "batch": 1, "lr": 0.1}}, "scratch: fine-tuning from scratch needs a recipe"),
    ],
)
def test_measures_that_do_not_fit_are_refused(tiny_text: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        params_of(tiny_text, **changes)


def test_top5_stands_beside_the_accuracy_where_it_is_asked_for(tiny_text: str, tmp_path: Path) -> None:
    content = yaml.safe_load(tiny_text)
    content["run"]["methods"] = ["uniform"]
    suite = content["suites"]["tiny"]
    suite["data"] = {
        "source": {"name": "digits", "classes": [0, 1, 2]},
        "targets": [{"label": "digits-3-9", "name": "digits", "classes": [3, 4, 5, 6, 7, 8, 9]}],
        "pool": 20,
    }
    suite["grid"] |= {"granularities": ["channel"], "budgets": [0.5], "seeds": [0]}
    recipe = {"steps": 2, "batch": 15, "lr": 0.05}
    suite["transfer"] = {"weights": ["fresh"], "shots": [5], "draws": 1, "nearest": {"episodes": 5}, "finetune": recipe}
    found = {}
    for top5 in (False, True):
        suite["transfer"] |= {"top5": top5}
        params = parse(Params, content, "params.yaml")
        assert run_suite(params, ["tiny"], root=tmp_path) == 0
        plan = plan_of(params, "tiny", tmp_path, prepare_data(params, "tiny", tmp_path))
        found[top5] = [row.model_dump() for row in rows_of(plan, "uniform")], floors_of(plan)["floors"]
    for without, with_it in zip(found[False], found[True], strict=True):
        assert len(without) == len(with_it) > 0
        for plain, more in zip(without, with_it, strict=True):
            assert "top5" not in plain and plain["accuracy"] == more["accuracy"] < more["top5"] < 1
