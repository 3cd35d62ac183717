import subprocess
import sys
from collections import Counter
from dataclasses import replace

import fabricated
import pytest
import yaml

from benchmark.config import params
from benchmark.config.params import Params, load_params
from benchmark.errors import BenchError
from benchmark.files import canonical_json, sha256
from benchmark.jobs import job
from benchmark.jobs.options import DEFAULTS, options
from benchmark.jobs.store import Store
from benchmark.pipeline.collect import architecture_file, published_files, rows_of, searches_of, timings_of
from benchmark.pipeline.plan import Digests, Plan


@pytest.fixture
def content(tiny_params):
    return yaml.safe_load(tiny_params.read_text())


@pytest.fixture
def planned(tmp_path):
    """Make a plan from the content of a params.yaml."""

    def make(content, digests=fabricated.DIGESTS, device="cpu") -> Plan:
        return Plan(Params.model_validate(content), "tiny", digests, Store(tmp_path / ".jobs"), device)

    return make


def keys(jobs):
    return [job.key for job in jobs]


# What an option left out means


def sections():
    recipes = [params.Recipe, params.FineTuning, params.Distillation]
    return [params.DatasetRef, params.TargetRef, params.Split, params.ModelRef, *recipes]


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_default_is_recorded(section):
    """A default that is not recorded could change without changing a key: add it to benchmark.jobs.options.DEFAULTS."""
    recorded = {}
    for base in section.__mro__:
        recorded |= DEFAULTS.get(base.__name__, {})
    defaults = {name: field.default for name, field in section.model_fields.items() if not field.is_required()}
    defaults.pop("background", None)  # stands in every key, whatever its value
    assert set(defaults) <= set(recorded)
    for name, value in defaults.items():
        assert value == recorded[name], f"{name}: record a new default only if its value stands in new keys"


def test_options_leave_defaults_out():
    recipe = params.Recipe(steps=5, batch=8, lr=0.1, momentum=0.9, shift=2)
    assert options(recipe) == {"steps": 5, "batch": 8, "lr": 0.1, "shift": 2}
    assert options(params.DatasetRef(name="digits", classes=[1, 0])) == {"name": "digits", "classes": [1, 0]}
    assert params.Recipe(**options(recipe)) == recipe


def test_an_option_that_is_introduced_changes_no_key_and_a_changed_default_does():
    class Recipe(params.Recipe):
        ema: float = 0.0

    assert options(Recipe(steps=5, batch=8, lr=0.1)) == options(params.Recipe(steps=5, batch=8, lr=0.1))
    assert options(Recipe(steps=5, batch=8, lr=0.1, ema=0.5))["ema"] == 0.5

    class Changed(params.Recipe):
        momentum: float = 0.95

    Changed.__name__ = "Recipe"
    assert options(Changed(steps=5, batch=8, lr=0.1)) == {"steps": 5, "batch": 8, "lr": 0.1, "momentum": 0.95}
    assert options(Changed(steps=5, batch=8, lr=0.1, momentum=0.9))["momentum"] == 0.9


# Keys


def test_specs_are_what_the_protocol_reads(planned, content):
    plan = planned(content)
    source = {
        "source": {"name": "digits", "classes": [0, 1, 2]},
        "source_digest": "s" * 64,
        "split": {},
        "model": {"name": "own:vgg16", "width": 0.0625},
        "training": {"steps": 6, "batch": 32, "lr": 0.05},
        "device": "cpu",
    }
    pretrain = plan.pretrain_jobs()
    assert [options(job.spec) for job in pretrain] == [{**source, "seed": 0}, {**source, "seed": 1}]
    search = plan.search_jobs("uniform")[0]
    assert options(search.spec) == {
        **source,
        "seed": 0,
        "cost": "params",
        "granularity": "channel",
        "budgets": [0.5, 0.1],
        "method": "uniform",
        "params": {},
        "pretrain": pretrain[0].key,
    }
    assert search.modules == ("baselines.uniform", "benchmark.models.own.vgg16")
    assert search.label == "tiny search uniform channel s0"


def change(content, path, value):
    *parents, last = path.split(".")
    for name in parents:
        content = content[name]
    content[last] = value


SUITE = "suites.tiny"
EQUAL = [
    (f"{SUITE}.title", "Another title"),
    (f"{SUITE}.data.split", {"train": 0.6}),
    (f"{SUITE}.training.momentum", 0.9),
    (f"{SUITE}.grid.budgets", [0.1, 0.5]),
    ("compute.workers", 7),
    ("data", {"mirrors": ["/elsewhere"]}),
    ("methods.magnitude.params", {"norm": "l2"}),
    ("methods.random.params", {"allocation": "scores"}),
    ("run.methods", ["random", "dap"]),
]
DIFFERENT = [
    (f"{SUITE}.training.steps", 7),
    (f"{SUITE}.training.momentum", 0.8),
    (f"{SUITE}.data.split", {"train": 0.5}),
    (f"{SUITE}.model.width", 0.125),
    (f"{SUITE}.grid.budgets", [0.5, 0.2]),
    (f"{SUITE}.grid.costs", ["macs"]),
    ("compute.threads", 2),
    ("methods.random.params", {"allocation": "ratios"}),
    (f"{SUITE}.methods.random.params", {"allocation": "ratios"}),
]
LATER = [(f"{SUITE}.data.pool", 30), (f"{SUITE}.transfer.draws", 3), (f"{SUITE}.transfer.finetune.steps", 9)]


@pytest.mark.parametrize(("path", "value"), EQUAL + LATER, ids=str)
def test_a_search_keeps_its_key(planned, content, path, value):
    before = keys(planned(content).search_jobs("random"))
    change(content, path, value)
    assert keys(planned(content).search_jobs("random")) == before


@pytest.mark.parametrize(("path", "value"), DIFFERENT, ids=str)
def test_a_search_gets_a_new_key(planned, content, path, value):
    before = keys(planned(content).search_jobs("random"))
    change(content, path, value)
    assert not set(keys(planned(content).search_jobs("random"))[:2]) & set(before[:2])


def test_data_and_device_are_in_every_key(planned, content):
    before = keys(planned(content).pretrain_jobs())
    other = Digests("u" * 64, fabricated.DIGESTS.targets)
    assert not set(keys(planned(content, digests=other).pretrain_jobs())) & set(before)
    assert not set(keys(planned(content, device="cuda").pretrain_jobs())) & set(before)


@pytest.mark.parametrize(("path", "value"), LATER, ids=str)
def test_a_transfer_gets_a_new_key(planned, content, path, value):
    plan = planned(content)
    fabricated.search(plan, "uniform")
    before = {t.job.key for t in plan.transfers("uniform") if t.weights != "scratch"}
    change(content, path, value)
    after = {t.job.key for t in planned(content).transfers("uniform") if t.weights != "scratch"}
    assert len(after) == len(before)
    assert not after & before


# The grid


def test_the_grid_of_variants(planned, content):
    content["methods"]["magnitude"] = {
        "params": {"norm": "l2"},
        "variants": {
            "layerwise": {"params": {"scope": "layerwise"}},
            "l1": {"params": {"norm": "l1"}, "granularities": ["channel"]},
        },
    }
    searches = planned(content).searches("magnitude")
    places = [(search.variant, search.granularity, search.seed) for search in searches]
    assert places == [
        *[("", granularity, seed) for granularity in ("channel", "weight") for seed in (0, 1)],
        *[("layerwise", granularity, seed) for granularity in ("channel", "weight") for seed in (0, 1)],
        ("l1", "channel", 0),
        ("l1", "channel", 1),
    ]
    assert [searches[index].method.params for index in (0, 4, 8)] == [
        {"norm": "l2"},
        {"scope": "layerwise", "norm": "l2"},
        {},
    ]


def test_a_suites_own_parameters_go_before_a_variants(planned, content):
    content["suites"]["tiny"]["methods"]["random"] = {"params": {"allocation": "scores"}}
    plan = planned(content)
    assert plan.method("random", "ratios").params == {}
    jobs = plan.search_jobs("random")
    assert keys(jobs[:4]) == keys(jobs[4:])  # the variant is the default here: computed once


def test_bad_parameters_are_one_line(planned, content):
    content["methods"]["random"]["params"] = {"alocation": "ratios"}
    with pytest.raises(BenchError, match=r"suites\.tiny\.methods\.random: alocation: unknown key; did you mean"):
        planned(content).searches("random")


def test_what_is_known_of_a_method_follows_its_code(planned, content):
    plan = planned(content)
    assert plan.method("uniform").module == "baselines.uniform"
    (known,) = (plan.store.root / "known").iterdir()
    for damaged in (known.read_text().replace("baselines.uniform", "baselines.gone"), "{", "[]", "{}"):
        known.write_text(damaged)
        assert replace(plan).method("uniform").module == "baselines.uniform"


def test_a_plan_hashes_a_job_once(planned, content, monkeypatch):
    before = planned(content)
    for method in ("dense", "uniform"):
        fabricated.search(before, method)
    plan, hashed = planned(content), []
    monkeypatch.setattr(job, "options", lambda spec: hashed.append(canonical_json(options(spec))) or options(spec))
    for _ in range(2):
        for method in ("dense", "uniform"):
            for jobs in (plan.pretrain_jobs(), plan.search_jobs(method), plan.transfer_jobs(method)):
                assert len(set(keys(jobs))) == len(jobs)
    assert len(hashed) == len(set(hashed)) > 0


def test_dense_is_retrained_once_for_all_granularities(planned, content):
    plan = planned(content)
    fabricated.search(plan, "dense")
    transfers = list(plan.transfers("dense"))
    assert Counter(t.search.granularity for t in transfers) == {"channel": 6, "weight": 6}
    jobs = plan.transfer_jobs("dense")
    assert len(jobs) == 6  # two seeds, three weights modes
    assert {job.spec.granularity for job in jobs} == {"channel"}
    assert all(options(job.spec)["form"] == {"dense": True} for job in jobs)
    channel = {search.job.key for search in plan.searches("dense") if search.granularity == "channel"}
    assert {job.inputs["search"] for job in jobs} == channel


def test_forms_of_architectures(planned, content):
    plan = planned(content)
    fabricated.search(plan, "uniform")
    for transfer in plan.transfers("uniform"):
        spec, found = options(transfer.job.spec), transfer.architecture
        if transfer.search.granularity == "channel" and transfer.weights != "inherit":
            assert spec["form"] == {"kept": found.kept}
        else:
            assert spec["form"] == {"architecture": found.digest}
        inherits = transfer.weights == "inherit"
        assert spec.get("state") == (sha256(f"{found.digest} weights".encode()) if inherits else None)
        assert transfer.job.inputs["architecture"] == found.file
        assert transfer.job.inputs.get("state") == (found.state_file if inherits else None)


def test_equal_widths_share_a_retraining_across_methods(planned, content):
    plan = planned(content)
    for method in ("uniform", "magnitude"):
        fabricated.search(plan, method)
    places = {
        method: {
            (t.search.granularity, t.search.seed, t.architecture.budget, t.weights): t.job.key
            for t in plan.transfers(method)
        }
        for method in ("uniform", "magnitude")
    }
    shared = {place for place, key in places["uniform"].items() if places["magnitude"][place] == key}
    assert shared == {
        ("channel", seed, budget, weights)
        for seed in (0, 1)
        for budget in (0.5, 0.1)
        for weights in ("fresh", "scratch")
    }


def test_a_missing_search_is_a_key_error_or_passed_over(planned, content):
    plan = planned(content)
    with pytest.raises(KeyError):
        list(plan.transfers("uniform"))
    assert plan.transfer_jobs("uniform", finished_only=True) == []


# What is assembled from the store


def test_rows(tiny_params, tmp_path):
    plan = fabricated.plan_for(load_params(tiny_params), tmp_path)
    fabricated.everything(plan, ["uniform", "dense"])
    rows = rows_of(plan, "uniform")
    # granularities x seeds x budgets x weights x shots x draws
    assert len(rows) == 2 * 2 * 2 * 3 * 2 * 2
    first = rows[0]
    assert (first.granularity, first.seed, first.budget, first.weights) == ("channel", 0, 0.5, "fresh")
    assert [(row.shots, row.draw, row.accuracy) for row in rows[:4]] == [
        (1, 0, 0.26),
        (1, 1, 0.261),
        (5, 0, 0.3),
        (5, 1, 0.301),
    ]
    assert first.suite == "tiny"
    assert first.model == "own:vgg16"
    assert (first.search_flops, first.train_flops, first.pretrain_flops) == (300, 14 * 6 + 4, 0)
    assert {row.pretrain_flops for row in rows if row.weights == "inherit"} == {700}
    assert {row.source_accuracy for row in rows if row.weights == "scratch"} == {None}
    assert {row.source_accuracy for row in rows if row.weights != "scratch"} == {0.75}
    order = [(row.granularity, row.seed, -row.budget) for row in rows]
    assert order == sorted(order)
    dense = rows_of(plan, "dense")
    assert Counter((row.granularity, row.budget, row.complexity) for row in dense) == {
        ("channel", 1.0, 1.0): 24,
        ("weight", 1.0, 1.0): 24,
    }


def test_timings_and_searches(tiny_params, tmp_path):
    plan = fabricated.plan_for(load_params(tiny_params), tmp_path)
    fabricated.everything(plan, ["dap"])
    timings = timings_of(plan, "dap")
    assert timings["schema"] == 1
    assert Counter(entry["kind"] for entry in timings["cells"].values()) == {"pretrain": 2, "search": 4, "transfer": 24}
    used = {row.cell for row in rows_of(plan, "dap")} | {row.search_cell for row in rows_of(plan, "dap")}
    assert used <= set(timings["cells"])
    assert timings["cells"][plan.pretrain_jobs()[0].key] == {"kind": "pretrain", **fabricated.TIMING}
    found = searches_of(plan, "dap")
    assert len(found["architectures"]) == 8
    assert found["architectures"][1]["budget"] == 0.1
    assert found["architectures"][1]["file"] == "artifacts/tiny/search/dap/channel-default-s0-b10.safetensors"
    assert found["architectures"][1]["kept"] == {"conv1": 1, "conv2": 1}
    assert [(t["granularity"], t["seed"], len(t["points"])) for t in found["traces"]] == [
        ("channel", 0, 1),
        ("channel", 1, 1),
        ("weight", 0, 1),
        ("weight", 1, 1),
    ]


def test_published_files(tiny_params, tmp_path):
    plan = fabricated.plan_for(load_params(tiny_params), tmp_path)
    fabricated.search(plan, "random")
    files = {target.name: source for source, target in published_files(plan, "random")}
    assert len(files) == 32
    digest = plan.store.get(plan.searches("random")[5].job.key).values["architectures"][0]["digest"]
    assert files["channel-ratios-s1-b50.safetensors"].read_text() == digest
    assert files["channel-ratios-s1-b50.weights.safetensors"].read_text() == f"{digest} weights"
    assert architecture_file("tiny", "random", plan.searches("random")[0], 0.005).name.endswith("-b0.5.safetensors")


def test_planning_what_is_known_needs_no_torch(tiny_params, tmp_path):
    plan = fabricated.plan_for(load_params(tiny_params), tmp_path)
    fabricated.everything(plan, ["random"])
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fabricated
from benchmark.pipeline.collect import rows_of
from benchmark.config.params import load_params
plan = fabricated.plan_for(load_params(Path(sys.argv[2]) / "params.yaml"), Path(sys.argv[2]))
assert len(rows_of(plan, "random")) == 192
assert not {"torch", "sklearn", "pandas", "mlflow", "dvc"} & set(sys.modules)
"""
    here = str(fabricated.__file__).rpartition("/")[0]
    subprocess.run([sys.executable, "-c", script, here, tiny_params.parent], check=True)
