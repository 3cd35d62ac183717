"""The stages of a suite with chosen learning rates, the control `twice`, and targets with tasks of their own."""

import json
import subprocess

import fabricated
import pytest
from tiny import rich

from benchmark.analysis.rows import read_results
from benchmark.config.params import Params
from benchmark.files import write_json
from benchmark.jobs.options import options
from benchmark.pipeline import one_off
from benchmark.pipeline.collect import tuning_of
from benchmark.pipeline.reproduce import _withdraw_outdated, compare
from benchmark.pipeline.stages import Places, plan_of, prepare_data, run_suite, stage
from benchmark.pipeline.validate import validate

MANIFEST = {"name": "digits", "source": "made up", "count": 100, "classes": ["0"]}


@pytest.fixture
def tuned(tmp_path):
    """A suite with tuning and the control `twice`, and a folder with its data.json."""
    params = Params.model_validate(rich())
    path = Places(tmp_path).results("tiny", "data.json")
    targets = {
        target.label: MANIFEST | {"digest": "t" * 64, "classes": [str(label) for label in target.classes or ()]}
        for target in params.suites["tiny"].data.targets
    }
    write_json(path, {"schema": 1, "source": MANIFEST | {"digest": "s" * 64}, "targets": targets})
    return params


def test_tune_writes_what_was_chosen(tuned, tmp_path):
    plan = plan_of(tuned, "tiny", tmp_path)
    fabricated.pretrain(plan)
    fabricated.tune(plan)
    assert stage(tuned, "tune", "tiny", root=tmp_path) == 0
    written = json.loads(Places(tmp_path).results("tiny", "tuning.json").read_text())
    assert written == tuning_of(plan)
    assert [(entry["granularity"], entry["budget"], entry["kind"]) for entry in written["rates"][::3]] == [
        ("channel", 1.0, "training"),
        ("channel", 0.5, "training"),
        ("channel", 0.1, "training"),
        ("weight", 0.5, "training"),
        ("weight", 0.1, "training"),
    ]


def test_tune_writes_its_file_also_where_nothing_is_chosen(tuned, tmp_path):
    suite = tuned.suites["tiny"].model_copy(update={"tuning": None})
    params = tuned.model_copy(update={"suites": {"tiny": suite}})
    fabricated.pretrain(plan_of(params, "tiny", tmp_path))
    assert stage(params, "tune", "tiny", root=tmp_path) == 0
    assert json.loads(Places(tmp_path).results("tiny", "tuning.json").read_text()) == {"schema": 1, "rates": []}


def test_nothing_is_retrained_without_its_rates(tuned, tmp_path, failing, capsys):
    plan = plan_of(tuned, "tiny", tmp_path)
    fabricated.pretrain(plan)
    fabricated.search(plan, "uniform")
    assert stage(tuned, "transfer", "tiny", "uniform", root=tmp_path) == 1
    assert [job.label for job in failing] == [
        "tiny tune channel b100",
        *(f"tiny tune {granularity} b{budget}" for granularity in ("channel", "weight") for budget in (50, 10)),
    ]
    assert "5 jobs failed" in capsys.readouterr().err
    failing.clear()
    assert stage(tuned, "tune", "tiny", root=tmp_path) == 1
    assert {job.kind for job in failing} == {"tune"}
    assert [path.name for path in Places(tmp_path).results("tiny", "data.json").parent.iterdir()] == ["data.json"]
    # A search asks for no rate.
    failing.clear()
    assert stage(tuned, "search", "tiny", "uniform", root=tmp_path) == 0
    assert failing == []


def test_a_whole_grid_computes_the_rates_before_the_retrainings(tuned, tmp_path, failing):
    plan = plan_of(tuned, "tiny", tmp_path, prepare_data(tuned, "tiny", tmp_path))
    fabricated.pretrain(plan)
    fabricated.tune(plan)
    fabricated.search(plan, "dense")
    assert run_suite(tuned, ["tiny"], ["dense"], root=tmp_path, until="tune") == 0
    assert failing == []
    assert run_suite(tuned, ["tiny"], ["dense"], root=tmp_path) == 1
    # Two seeds, three weights modes and the control.
    assert [job.kind for job in failing] == ["transfer"] * 8
    assert sorted({job.label.partition(" b100 ")[2] for job in failing}) == [
        "fresh",
        "fresh twice",
        "inherit",
        "scratch",
    ]


def test_a_whole_grid_with_everything_optional_is_computed(tmp_path):
    """Tuning, `twice`, few ways and merged classes, for real; and a single retraining is that of the grid."""
    content = rich()
    content["run"]["methods"] = ["dense", "uniform"]
    suite = content["suites"]["tiny"]
    suite["grid"] |= {"budgets": [0.5], "seeds": [0], "granularities": ["channel"]}
    suite["tuning"]["architectures"] = 1
    suite["training"] |= {"flip": True, "precision": "bfloat16"}
    suite["transfer"] |= {"weights": ["fresh", "inherit"]}
    suite["transfer"]["finetune"] |= {"trained": "head"}
    params = Params.model_validate(content)
    validate(params, root=tmp_path)
    for name in ("data", "tune"):
        assert stage(params, name, "tiny", workers=2, root=tmp_path) == 0
    for method in ("dense", "uniform"):
        for name in ("search", "transfer"):
            assert stage(params, name, "tiny", method, workers=2, root=tmp_path) == 0
    told = json.loads(Places(tmp_path).results("tiny", "tuning.json").read_text())["rates"]
    assert [(entry["budget"], entry["kind"], [tried["lr"] for tried in entry["tried"]]) for entry in told] == [
        (budget, kind, [0.025, 0.1]) for budget in (1.0, 0.5) for kind in ("training", "finetune")
    ]
    plan = plan_of(params, "tiny", tmp_path)
    for method, controls in (("dense", {"", "twice"}), ("uniform", {""})):
        rows, _ = read_results(Places(tmp_path).results("tiny", f"{method}.json"))
        # (2 shots x 3 draws + 2 shots x 2 draws) for either weights mode and the control
        assert len(rows) == 10 * (2 + len(controls) - 1)
        assert {row.arm for row in rows} == controls
        specs = {transfer.job.key: options(transfer.job.spec) for transfer in plan.transfers(method)}
        for row in rows:
            assert 0 <= row.accuracy <= 1
            chosen = {entry["kind"]: entry["lr"] for entry in told if entry["budget"] == row.budget}
            spec = specs[row.cell]
            assert spec["training"]["lr"] == (chosen["training"] if row.weights == "fresh" else 0.05)
            assert spec["training"]["steps"] == (12 if row.arm else 6)
            assert {target["recipe"]["lr"] for target in spec["targets"]} == {chosen["finetune"]}
    file = Places(tmp_path).artifacts("tiny", "search", "uniform") / "channel-default-s0-b50.safetensors"
    for weights in ("fresh", "inherit"):
        wanted = [(row.target, row.shots, row.draw, row.accuracy) for row in rows if row.weights == weights]
        found = one_off.transfer(params, "tiny", file, weights, root=tmp_path)
        assert [(one.target, one.shots, one.draw, one.accuracy) for one in found.results] == wanted


# reproduce


@pytest.fixture
def committed(tuned, tmp_path):
    """A git repository in which the results of the dense control are committed."""
    params = tuned.model_copy(update={"run": tuned.run.model_copy(update={"methods": ["dense"]})})
    plan = plan_of(params, "tiny", tmp_path)
    fabricated.everything(plan)
    for name in ("search", "transfer"):
        stage(params, name, "tiny", "dense", root=tmp_path)
    stage(params, "tune", "tiny", root=tmp_path)
    for arguments in (["init", "-q"], ["add", "reports"], ["commit", "-q", "-m", "results"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    return plan


def test_rows_of_an_arm_are_compared_with_their_own(committed, tmp_path):
    rows, _ = read_results(Places(tmp_path).results("tiny", "dense.json"))
    found = compare(committed, tmp_path)
    assert (found.rows, found.committed, found.changed) == (len(rows), len(rows), 0)
    path = Places(tmp_path).results("tiny", "dense.json")
    content = json.loads(path.read_text())
    wanted = {"granularity": "channel", "seed": 0, "weights": "fresh", "arm": "", "shots": 1, "draw": 0}
    (row,) = [
        row
        for row in content["rows"]
        if row["target"] == "merged" and all(row[name] == value for name, value in wanted.items())
    ]
    row["train_flops"] += 1
    path.write_text(json.dumps(content))
    assert compare(committed, tmp_path).changed == 1


def test_a_difference_is_one_of_the_grid_s_means_in_which_no_arm_is(committed, tmp_path):
    stage(committed.params, "analyse", "tiny", root=tmp_path)
    path = Places(tmp_path).results("tiny", "dense.json")
    content = json.loads(path.read_text())
    wanted = {"granularity": "channel", "weights": "fresh", "target": "merged", "shots": 1, "draw": 0, "seed": 1}
    rows = [row for row in content["rows"] if all(row[name] == value for name, value in wanted.items())]
    assert [row["arm"] for row in rows] == ["", "twice"]
    rows[1]["accuracy"] += 0.5
    path.write_text(json.dumps(content))
    found = compare(committed, tmp_path)
    assert (found.changed, found.difference, found.entry) == (1, 0.0, "")
    rows[0]["accuracy"] += 0.04
    path.write_text(json.dumps(content))
    found = compare(committed, tmp_path)
    # One of two seeds with two draws each.
    assert (found.changed, found.difference) == (2, pytest.approx(0.01))
    assert "granularity=channel method=dense weights=fresh target=merged budget=100 %" in found.entry


def test_rates_that_the_store_contradicts_are_made_again(committed, tmp_path):
    path = Places(tmp_path).results("tiny", "tuning.json")
    _withdraw_outdated(committed, Places(tmp_path))
    assert path.exists()
    path.write_text(path.read_text().replace('"lr": 2.0', '"lr": 3.0'))
    assert json.loads(path.read_text()) != tuning_of(committed)
    _withdraw_outdated(committed, Places(tmp_path))
    assert not path.exists()
