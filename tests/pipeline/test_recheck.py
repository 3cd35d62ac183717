"""Committed results after a change of code: a suite of seconds, and fingerprints that are told to differ."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from tiny import rich

from benchmark.config.params import load_params
from benchmark.errors import BenchError
from benchmark.files import sha256
from benchmark.jobs import job
from benchmark.jobs.fingerprint import fingerprint
from benchmark.pipeline import plan
from benchmark.pipeline.recheck import _compared_by, recheck
from benchmark.pipeline.stages import plan_of, run_suite, stage

METHODS = ["dense", "uniform"]
CODE = Path(__file__).parents[2]
LOCK = """\
schema: '2.0'
stages:
  search@tiny-dense:
    cmd: dapbench stage search --suite tiny --method dense
    deps:
    - path: reports/code/tiny/search-dense.json
      hash: md5
      md5: of the code before
      size: 1
  transfer@tiny-uniform:
    cmd: dapbench stage transfer --suite tiny --method uniform
    deps:
    - path: reports/code/tiny/transfer.json
      hash: md5
      md5: of the code before
      size: 1
    - path: reports/code/other/transfer.json
      hash: md5
      md5: of another suite
      size: 1
"""


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    root = tmp_path_factory.mktemp("committed")
    content = rich()
    content["run"]["methods"] = METHODS
    suite = content["suites"]["tiny"]
    suite["grid"]["seeds"] = [0]
    # Architectures, rows and rates of equal budgets, told apart by their cost alone.
    suite["grid"] |= {"costs": ["params", "macs"], "budgets": [0.5]}
    suite["tuning"]["architectures"] = 1
    suite["transfer"]["weights"] = ["fresh"]
    suite["data"]["targets"] = suite["data"]["targets"][1:]
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    params = load_params(root / "params.yaml")
    assert run_suite(params, workers=1, root=root) == 0
    for name in ("code", "data", "tune"):
        assert stage(params, name, "tiny", root=root) == 0
    for method in METHODS:
        for name in ("search", "transfer"):
            assert stage(params, name, "tiny", method, root=root) == 0
    (root / "dvc.lock").write_text(LOCK)
    return root


@pytest.fixture
def committed(computed):
    """The folder with its results; what a check writes there is undone."""
    written = [*sorted((computed / "reports/code/tiny").iterdir()), computed / "dvc.lock"]
    before = {path: path.read_bytes() for path in written}
    yield computed
    for path, content in before.items():
        path.write_bytes(content)
    (computed / "reports/results/tiny/recheck.json").unlink(missing_ok=True)


@pytest.fixture
def changed(monkeypatch):
    """Every fingerprint is another one, as after an edit of code that all jobs run through."""
    for module in (job, plan):
        monkeypatch.setattr(module, "fingerprint", lambda modules: sha256(fingerprint(modules).encode()))


@pytest.fixture
def other(committed, tmp_path_factory):
    """A checkout of this code that has a description of the suite, and of its data, of its own."""
    folder = tmp_path_factory.mktemp("other")
    for package in ("benchmark", "baselines"):
        (folder / package).symlink_to(CODE / package)
    for name in ("params.yaml", "reports/results/tiny/data.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((committed / name).read_bytes())
    return folder


def rows(root):
    return {m: (root / "reports/results/tiny" / f"{m}.json").read_text() for m in METHODS}


def test_results_of_the_present_code_need_no_check(committed, capsys):
    assert recheck(load_params(committed / "params.yaml"), "tiny", 1, committed) == 0
    assert "nothing to check" in capsys.readouterr().out
    assert not (committed / "reports/results/tiny/recheck.json").exists()


def test_a_difference_is_told_and_nothing_is_recorded(committed, changed, capsys):
    path = committed / "reports/results/tiny/uniform.json"
    content = json.loads(path.read_text())
    before = path.read_text()
    for row in content["rows"]:
        row["accuracy"] = round(1 - row["accuracy"], 6)
    path.write_text(json.dumps(content))
    try:
        assert recheck(load_params(committed / "params.yaml"), "tiny", 1, committed) == 1
    finally:
        path.write_text(before)
    out = capsys.readouterr().out
    assert "uniform" in out and "committed" in out
    assert "`dapbench reproduce --suite tiny` recomputes the suite" in out
    assert not (committed / "reports/results/tiny/recheck.json").exists()
    assert (committed / "dvc.lock").read_text() == LOCK


def test_equal_results_stand_and_the_lock_is_told(committed, changed, capsys):
    before = rows(committed)
    params = load_params(committed / "params.yaml")
    assert recheck(params, "tiny", 1, committed) == 0
    assert "bit for bit" in capsys.readouterr().out
    record = json.loads((committed / "reports/results/tiny/recheck.json").read_text())["checks"]
    code = json.loads((committed / "reports/code/tiny/transfer.json").read_text())["code"]
    assert len(record) == 1 and record[0]["code"]["transfer"][1] == code
    assert record[0]["code"]["transfer"][0] != code
    # 2 granularities x 2 methods' architectures at their budgets, some rows, some rates.
    assert record[0]["results"] > 10
    assert rows(committed) == before
    lock = yaml.safe_load((committed / "dvc.lock").read_text())["stages"]["transfer@tiny-uniform"]["deps"]
    assert lock[0]["md5"] != "of the code before" and lock[0]["size"] > 1
    assert lock[1]["md5"] == "of another suite"
    # And the next one finds nothing to do.
    assert recheck(params, "tiny", 1, committed) == 0
    assert "nothing to check" in capsys.readouterr().out


def test_other_data_are_refused(committed, changed):
    path = committed / "reports/results/tiny/data.json"
    before = path.read_text()
    content = json.loads(before)
    content["source"]["digest"] = "0" * 64
    path.write_text(json.dumps(content))
    try:
        with pytest.raises(BenchError, match="of other data than is prepared here"):
            recheck(load_params(committed / "params.yaml"), "tiny", 1, committed)
    finally:
        path.write_text(before)


def test_on_another_machine_the_code_before_computes_beside(committed, changed, other, capsys):
    # These rows no machine could meet: as if they came from a processor that rounds differently.
    path = committed / "reports/results/tiny/uniform.json"
    before = path.read_text()
    content = json.loads(before)
    for row in content["rows"]:
        row["accuracy"] = round(1 - row["accuracy"], 6)
    path.write_text(json.dumps(content))
    params = load_params(committed / "params.yaml")
    try:
        assert recheck(params, "tiny", 1, committed, ["uniform"], other) == 0
    finally:
        path.write_text(before)
    assert "those of the code before, bit for bit" in capsys.readouterr().out
    (record,) = json.loads((committed / "reports/results/tiny/recheck.json").read_text())["checks"]
    assert record["methods"] == ["uniform"] and record["compared"] == "with the code before, on one machine"
    lock = yaml.safe_load((committed / "dvc.lock").read_text())["stages"]
    assert lock["transfer@tiny-uniform"]["deps"][0]["md5"] != "of the code before"
    # Nobody looked at the other method.
    assert lock["search@tiny-dense"]["deps"][0]["md5"] == "of the code before"


def test_the_code_before_must_be_that(committed, changed, other, tmp_path):
    params = load_params(committed / "params.yaml")
    with pytest.raises(BenchError, match="no checkout of this project"):
        recheck(params, "tiny", 1, committed, against=tmp_path)
    code = committed / "reports/code/tiny/pretrain.json"
    code.write_text(json.dumps({"code": "another"}))
    with pytest.raises(BenchError, match=r"not the code that made the committed results \(pretrain differs\)"):
        recheck(params, "tiny", 1, committed, against=other)


def test_what_another_suite_has_compared_is_not_computed_again(committed, changed, capsys):
    content = yaml.safe_load((committed / "params.yaml").read_text())
    content["run"]["suites"] = ["tiny", "other"]
    content["suites"]["other"] = content["suites"]["tiny"]
    path = committed / "two.yaml"
    path.write_text(yaml.safe_dump(content))
    params = load_params(path)
    before = {p.stem: json.loads(p.read_text())["code"] for p in (committed / "reports/code/tiny").iterdir()}
    now = plan_of(params, "tiny", committed).code()
    record = {"methods": METHODS, "code": {name: [before[name], now[name]] for name in before}}
    other = committed / "reports/results/other/recheck.json"
    other.parent.mkdir(parents=True)
    manifests = committed / "reports/results/tiny/data.json"
    (other.parent / "data.json").write_bytes(manifests.read_bytes())
    for code, expected in (
        (record, "compared on other"),
        ({**record, "methods": ["dense"]}, "bit for bit; all stand.\n"),
    ):
        other.write_text(json.dumps({"schema": 1, "checks": [code]}))
        assert recheck(params, "tiny", 1, committed) == 0
        assert expected in capsys.readouterr().out
        for name, digest in before.items():
            (committed / f"reports/code/tiny/{name}.json").write_text(json.dumps({"code": digest}))
    checks = json.loads((committed / "reports/results/tiny/recheck.json").read_text())["checks"]
    assert checks[0]["by"] == "other" and "by" not in checks[1]
    assert 0 < checks[0]["results"] < checks[1]["results"]


def test_a_suite_without_a_granularity_does_not_answer_for_one_that_has_it(committed, tmp_path):
    content = yaml.safe_load((committed / "params.yaml").read_text())
    content["run"]["suites"] = ["tiny", "other"]
    other = copy.deepcopy(content["suites"]["tiny"])
    assert len(other["grid"]["granularities"]) == 2
    other["grid"]["granularities"] = other["grid"]["granularities"][:1]
    content["suites"]["other"] = other
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    params = load_params(tmp_path / "params.yaml")
    for name in ("tiny", "other"):
        folder = tmp_path / "reports/results" / name
        folder.mkdir(parents=True)
        (folder / "data.json").write_bytes((committed / "reports/results/tiny/data.json").read_bytes())
        (folder / "recheck.json").write_text(json.dumps({"schema": 1, "checks": [{"methods": METHODS, "code": {}}]}))
    assert _compared_by(params, "other", tmp_path, {}, {}, METHODS) == "tiny"
    assert _compared_by(params, "tiny", tmp_path, {}, {}, METHODS) is None


def test_a_method_that_the_suite_leaves_out_need_not_have_been_compared(committed):
    content = yaml.safe_load((committed / "params.yaml").read_text())
    content["run"] |= {"suites": ["tiny", "other"], "methods": [*METHODS, "random"]}
    content["suites"]["tiny"]["exclude"] = ["random"]
    content["suites"]["other"] = content["suites"]["tiny"]
    path = committed / "excluding.yaml"
    path.write_text(yaml.safe_dump(content))
    params, folder = load_params(path), committed / "reports/results/other"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.json").write_bytes((committed / "reports/results/tiny/data.json").read_bytes())
    codes = {name: ["before", "now"] for name in ("pretrain", "transfer", "search-dense", "search-uniform")}
    (folder / "recheck.json").write_text(json.dumps({"schema": 1, "checks": [{"methods": METHODS, "code": codes}]}))
    before, now = ({**{name: code[at] for name, code in codes.items()}, "search-random": str(at)} for at in (0, 1))
    assert _compared_by(params, "tiny", committed, before, now, params.run.methods) == "other"
