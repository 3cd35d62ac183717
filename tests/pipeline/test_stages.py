import json
import subprocess

import fabricated
import pytest
import yaml

from benchmark.analysis.rows import read_results
from benchmark.config.params import Params, load_params
from benchmark.errors import BenchError
from benchmark.jobs.store import Store
from benchmark.pipeline.plan import Digests
from benchmark.pipeline.reproduce import _remove_half_written, _withdraw_outdated, compare
from benchmark.pipeline.stages import Places, plan_of, run_suite, stage
from benchmark.provenance import provenance

METHODS = ["dense", "uniform", "random", "magnitude"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The stage `data` of the tiny suite, run once: its data.json and the prepared sets."""
    from tiny import TINY

    root = tmp_path_factory.mktemp("prepared")
    (root / "params.yaml").write_text(TINY)
    assert stage(load_params(root / "params.yaml"), "data", "tiny", root=root) == 0
    return root


@pytest.fixture
def params(tiny_params):
    return load_params(tiny_params)


@pytest.fixture
def root(tmp_path, prepared):
    target = tmp_path / "reports" / "results" / "tiny"
    target.mkdir(parents=True)
    (target / "data.json").write_bytes((prepared / "reports" / "results" / "tiny" / "data.json").read_bytes())
    return tmp_path


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_data_names_every_part_by_seed(prepared):
    content = json.loads((prepared / "reports" / "results" / "tiny" / "data.json").read_text())
    assert content["schema"] == 1
    source, target = content["source"], content["targets"]["digits-3-5"]
    assert len(source["digest"]) == 64
    assert set(source["split"]["digests"]) == {"0", "1"}
    assert source["split"]["digests"]["0"]["train"] != source["split"]["digests"]["1"]["train"]
    assert sum(source["split"]["sizes"].values()) == source["count"]
    assert target["split"]["sizes"]["pool"] == 60  # 20 images of each of three classes


def test_search_and_transfer_write_what_the_store_holds(params, root):
    plan = plan_of(params, "tiny", root)
    fabricated.everything(plan, ["random"])
    assert stage(params, "search", "tiny", "random", root=root) == 0
    assert stage(params, "transfer", "tiny", "random", root=root) == 0
    published = root / "artifacts" / "tiny" / "search" / "random"
    found = json.loads((root / "reports/results/tiny/random.search.json").read_text())
    files = [entry["file"] for entry in found["architectures"]]
    assert len(files) == len(set(files)) == 16
    assert all(
        (root / name).read_text() == entry["digest"] for name, entry in zip(files, found["architectures"], strict=True)
    )
    assert len(listing(published)) == 32
    rows, origin = read_results(root / "reports/results/tiny/random.json")
    assert len(rows) == 192
    assert origin["data"] == {"source": plan.digests.source, "targets": dict(plan.digests.targets)}
    assert {key: origin[key] for key in provenance()} == provenance()
    timings = json.loads((root / "reports/results/tiny/random.timings.json").read_text())
    assert {row.cell for row in rows} <= set(timings["cells"])
    before = (root / "reports/results/tiny/random.json").read_bytes()
    assert stage(params, "transfer", "tiny", "random", root=root) == 0
    assert (root / "reports/results/tiny/random.json").read_bytes() == before


def test_what_a_larger_grid_left_is_removed(params, root, tiny_params):
    fabricated.everything(plan_of(params, "tiny", root), ["uniform"])
    stage(params, "search", "tiny", "uniform", root=root)
    stage(params, "pretrain", "tiny", root=root)
    content = yaml.safe_load(tiny_params.read_text())
    content["suites"]["tiny"]["grid"] |= {"budgets": [0.5], "seeds": [0], "granularities": ["channel"]}
    smaller = Params.model_validate(content)
    fabricated.everything(plan_of(smaller, "tiny", root), ["uniform"])
    stage(smaller, "search", "tiny", "uniform", root=root)
    stage(smaller, "pretrain", "tiny", root=root)
    assert listing(root / "artifacts" / "tiny" / "search" / "uniform") == [
        "channel-default-s0-b50.safetensors",
        "channel-default-s0-b50.weights.safetensors",
    ]
    assert listing(root / "artifacts" / "tiny" / "pretrain") == ["s0.safetensors"]


def test_the_stages_of_a_method_that_the_suite_leaves_out_write_no_rows(params, root):
    suite = params.suites["tiny"].model_copy(update={"exclude": ["random"]})
    params = params.model_copy(update={"suites": {"tiny": suite}})
    assert stage(params, "code", "tiny", root=root) == 0
    assert "search-random.json" in listing(root / "reports/code/tiny")
    assert stage(params, "search", "tiny", "random", root=root) == 0
    assert stage(params, "transfer", "tiny", "random", root=root) == 0
    assert listing(root / "artifacts" / "tiny" / "search" / "random") == []
    assert read_results(root / "reports/results/tiny/random.json")[0] == []


def test_code_has_one_file_per_kind_of_job(params, root):
    folder = root / "reports" / "code" / "tiny"
    folder.mkdir(parents=True)
    (folder / "search-gone.json").write_text("{}")
    assert stage(params, "code", "tiny", root=root) == 0
    methods = sorted(f"search-{name}.json" for name in METHODS)
    assert listing(folder) == ["floors.json", "pretrain.json", *methods, "transfer.json", "tune.json"]
    hashes = [json.loads(path.read_text())["code"] for path in folder.iterdir()]
    assert len(set(hashes)) == len(hashes) == 8


def test_a_stage_with_a_failed_job_writes_nothing(params, root, failing, capsys):
    plan = plan_of(params, "tiny", root)
    fabricated.pretrain(plan)
    fabricated.search(plan, "uniform")
    assert stage(params, "transfer", "tiny", "uniform", root=root) == 1
    assert listing(root / "reports" / "results" / "tiny") == ["data.json"]
    told = capsys.readouterr().err
    assert "failed: tiny transfer uniform channel s0 b50 fresh\nTraceback" in told
    assert "ValueError: no luck" in told
    assert told.rstrip().endswith(
        "24 jobs failed; the others are kept, and the same command computes only what is missing"
    )
    assert stage(params, "search", "tiny", "random", root=root) == 1
    assert not (root / "artifacts" / "tiny" / "search" / "random").exists()


def test_what_depends_on_a_failed_job_is_not_tried(params, root, failing):
    plan = plan_of(params, "tiny", root)
    fabricated.pretrain(plan)
    fabricated.search(plan, "dense")
    assert run_suite(params, ["tiny"], ["dense", "uniform"], root=root) == 1
    kinds = [(job.kind, job.label.split()[2]) for job in failing]
    assert kinds == [("search", "uniform")] * 4 + [("transfer", "dense")] * 6
    failing.clear()
    assert run_suite(params, ["tiny"], root=root, until="search") == 1
    assert {job.kind for job in failing} == {"search"}


def test_nothing_is_searched_without_its_pretraining(params, root, failing):
    assert run_suite(params, ["tiny"], root=root) == 1
    assert [job.kind for job in failing] == ["pretrain", "pretrain"]


def test_a_whole_grid_is_computed(tiny_params, root, prepared):
    """The real computations, on the smallest grid there is; a second run computes nothing."""
    content = yaml.safe_load(tiny_params.read_text())
    content["run"]["methods"] = ["uniform"]
    content["suites"]["tiny"]["grid"] |= {"budgets": [0.5], "seeds": [0], "granularities": ["channel"]}
    content["suites"]["tiny"]["transfer"] |= {"weights": ["scratch"], "shots": [1]}
    params = Params.model_validate(content)
    assert run_suite(params, workers=2, root=root) == 0
    jobs = {path.name for path in (root / ".jobs").glob("??/*")}
    assert len(jobs) == 3
    assert run_suite(params, workers=1, root=root) == 0
    for name in ("search", "transfer"):
        assert stage(params, name, "tiny", "uniform", root=root) == 0
    rows, _ = read_results(root / "reports/results/tiny/uniform.json")
    assert [(row.shots, row.draw) for row in rows] == [(1, 0), (1, 1)]
    assert {path.name for path in (root / ".jobs").glob("??/*")} == jobs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serch", "tiny"), "stage: unknown stage 'serch'; did you mean 'search'?"),
        (("data", "tinny"), "--suite: unknown suite 'tinny'; did you mean 'tiny'?"),
        (("data",), "--suite: unknown suite ''"),
        (("search", "tiny", "unifrom"), "--method: unknown method 'unifrom'; did you mean 'uniform'?"),
        (("search", "tiny"), "--method: unknown method ''"),
    ],
)
def test_bad_arguments(params, root, arguments, message):
    with pytest.raises(BenchError) as caught:
        stage(params, *arguments, root=root)
    assert str(caught.value).startswith(message)


def test_run_suite_refuses_an_unknown_method(params, root):
    with pytest.raises(BenchError, match="--method: unknown method 'unifrom'; did you mean 'uniform'"):
        run_suite(params, ["tiny"], ["unifrom"], root=root)


def test_stages_say_when_the_data_stage_did_not_run(params, tmp_path):
    with pytest.raises(BenchError, match=r"data\.json: no such file"):
        stage(params, "search", "tiny", "uniform", root=tmp_path)
    path = Places(tmp_path).results("tiny", "data.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 2}')
    with pytest.raises(BenchError, match=r"data\.json: expected schema 1"):
        stage(params, "search", "tiny", "uniform", root=tmp_path)


# reproduce


@pytest.fixture
def committed(params, root):
    """A git repository in which the results of two methods are committed."""
    plan = plan_of(
        params.model_copy(update={"run": params.run.model_copy(update={"methods": METHODS[:2]})}), "tiny", root
    )
    fabricated.everything(plan)
    for method in plan.methods:
        for name in ("search", "transfer"):
            stage(plan.params, name, "tiny", method, root=root)
    stage(plan.params, "analyse", "tiny", root=root)
    for arguments in (["init", "-q"], ["add", "reports"], ["commit", "-q", "-m", "results"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True)
    return plan


def test_equal_rows_are_told_as_equal(committed, root):
    assert compare(committed, root).text("tiny") == "tiny: all 144 rows equal the committed ones, bit for bit."


def test_a_difference_is_told_and_of_two_seeds_has_no_interval(committed, root):
    path = Places(root).results("tiny", "uniform.json")
    content = json.loads(path.read_text())
    wanted = {"granularity": "weight", "budget": 0.1, "weights": "inherit", "shots": 5}
    for row in content["rows"]:
        if all(row[name] == value for name, value in wanted.items()):
            row["accuracy"] += 0.02 * row["seed"]  # two seeds: the mean rises by half of it
    path.write_text(json.dumps(content))
    stage(committed.params, "analyse", "tiny", root=root)
    found = compare(committed, root)
    assert (found.rows, found.committed, found.changed) == (144, 144, 2)
    assert found.difference == pytest.approx(0.01)
    assert found.half is None  # two seeds: no interval
    assert "0.0100" in found.text("tiny") and "granularity=weight method=uniform" in found.text("tiny")


def test_without_a_commit_there_is_nothing_to_compare(params, root):
    plan = plan_of(params, "tiny", root)
    fabricated.everything(plan, ["dense"])
    stage(params, "transfer", "tiny", "dense", root=root)
    assert "none are committed yet" in compare(plan, root).text("tiny")


def test_results_that_the_store_contradicts_are_made_again(committed, root):
    results = Places(root).results("tiny", "uniform.json")
    before = listing(results.parent)
    _withdraw_outdated(committed, Places(root))
    assert listing(results.parent) == before
    results.write_text(results.read_text().replace("0.26,", "0.27,", 1))
    Places(root).results("tiny", "dense.search.json").write_text("{")
    _withdraw_outdated(committed, Places(root))
    assert set(before) - set(listing(results.parent)) == {"uniform.json", "dense.search.json"}
    other = fabricated.plan_for(committed.params, root, digests=Digests("s" * 64, {"digits-3-5": "t" * 64}))
    fabricated.everything(other)
    _withdraw_outdated(other, Places(root))
    assert not Places(root).results("tiny", "data.json").exists()


def test_half_written_files_of_a_killed_dvc_are_removed(committed, root):
    lock, guard = root / "dvc.lock", root / ".dvc" / "tmp" / "rwlock"
    guard.parent.mkdir(parents=True)
    guard.write_text('{"write": {"a": ')
    lock.write_text("schema: '2.0'\nstages:\n  a: {cmd: [")
    _remove_half_written(root)
    assert not guard.exists()
    assert not lock.exists()
    guard.write_text("{}")
    lock.write_text("schema: '2.0'\n")
    _remove_half_written(root)
    assert guard.read_text() == "{}"
    assert lock.read_text() == "schema: '2.0'\n"
    for arguments in (
        ["add", "dvc.lock"],
        ["-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    lock.write_text("")
    _remove_half_written(root)
    assert lock.read_text() == "schema: '2.0'\n"


def test_provenance_names_no_host_and_no_path(monkeypatch):
    text = json.dumps(provenance())
    import socket
    from pathlib import Path

    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert {"machine", "python", "libraries", "device"} == set(provenance())
    assert provenance()["machine"]["cores"] >= 1
    assert provenance()["libraries"]["torch"][0].isdigit()
    assert Store(".jobs").root.name == ".jobs"
