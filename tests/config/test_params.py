import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.config.params import GridSection, Params, Split, load_params, parse
from benchmark.errors import BenchError

REPOSITORY = Path(__file__).parents[2]
TINY = ("suites", "tiny")


@pytest.fixture
def tiny(tiny_params: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(tiny_params.read_text())
    return content


def with_value(content: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(content)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return changed


def test_the_repository_s_own_params_are_valid() -> None:
    params = load_params(REPOSITORY / "params.yaml")
    assert {*params.run.suites, params.run.headline} <= set(params.suites)


def test_values_and_defaults_arrive_typed(tiny_params: Path) -> None:
    params = load_params(tiny_params)
    suite = params.suites["tiny"]
    assert suite.data.source.classes == [0, 1, 2]
    assert suite.data.split == Split(train=0.6, validation=0.2)
    assert suite.grid.costs == ["params"]
    assert suite.training.lr == 0.05
    assert suite.training.momentum == 0.9
    assert params.methods["random"].variants["ratios"].params == {"allocation": "ratios"}
    assert params.data.mirrors == []
    assert (suite.tuning, suite.transfer.controls, params.run.headline) == (None, [], None)
    assert (suite.methods["random"].params, suite.methods["random"].variants) == ({}, None)
    assert (suite.training.flip, suite.training.precision, suite.transfer.finetune.trained) == (False, "float32", "all")


RECIPE = {"steps": 1, "batch": 1, "lr": 0.1}
ARMED = {
    "weights": ["inherit"],
    "shots": [1],
    "draws": 1,
    "finetune": RECIPE,
    "scratch": RECIPE,
    "controls": ["labels"],
}
WRONG = [
    (("run", "suites"), ["tini"], "run.suites: unknown suite 'tini'; did you mean 'tiny'? known: tiny"),
    (("run",), {}, "run.suites: missing; add it"),
    (("run",), None, "run: expected a mapping of keys to values ({} for the defaults) (got None)"),
    (("compute", "workers"), 0, "compute.workers: expected a number greater than or equal to 1 or 'auto' (got 0)"),
    (("compute", "device"), "gpu", "compute.device: expected 'auto', 'cpu' or 'cuda' (got 'gpu')"),
    (("compute", "worker"), 3, "compute.worker: unknown key; did you mean 'workers'?"),
    (("sutes",), {}, "sutes: unknown key; did you mean 'suites'?"),
    (("methods", "dap"), {"param": {}}, "methods.dap.param: unknown key; did you mean 'params'?"),
    (("suites", "my suite"), {}, "suites.my suite: expected a name of small letters, digits, - and _ (got 'my suite')"),
    ((*TINY, "grid", "budgets"), [float("nan")], "suites.tiny.grid.budgets.0: a budget is a share of the large"),
    ((*TINY, "grid", "budgets"), [0.5, 0.5], "suites.tiny.grid.budgets: 0.5 is given twice"),
    ((*TINY, "grid", "budgets"), 0.5, "suites.tiny.grid.budgets: expected a list such as [0, 1] (got 0.5)"),
    ((*TINY, "grid", "seeds"), [], "suites.tiny.grid.seeds: at least one value is needed"),
    ((*TINY, "grid", "seeds"), [True], "suites.tiny.grid.seeds.0: expected a valid integer (got True)"),
    ((*TINY, "grid", 5), 1, "suites.tiny.grid.5: keys are words"),
    ((*TINY, "training", "lr"), "fast", "suites.tiny.training.lr: expected a valid number (got 'fast')"),
    ((*TINY, "training", "steps"), 1.5, "suites.tiny.training.steps: expected a valid integer (got 1.5)"),
    ((*TINY, "training", "momentum"), 1, "suites.tiny.training.momentum: expected a number less than 1 (got 1)"),
    ((*TINY, "transfer", "shots"), [1, 21], "suites.tiny: transfer.shots: 21 shots, but the pool of digits-3-5 "),
    ((*TINY, "data", "split"), {"train": 0.8, "validation": 0.2}, "suites.tiny.data.split: train + validation must"),
    ((*TINY, "data", "targets", 0, "clases"), [1], "suites.tiny.data.targets.0.clases: unknown key; did you mean 'cl"),
    ((*TINY, "data", "source", "classes"), [1, 1], "suites.tiny.data.source.classes: 1 is given twice"),
    ((*TINY, "data", "source", "classes"), [[0, 1], 1], "suites.tiny.data.source.classes: 1 is given twice"),
    ((*TINY, "data", "source", "classes"), [[0, 0], 1], "suites.tiny.data.source.classes: 0 is given twice"),
    ((*TINY, "data", "targets", 0, "shots"), [25], "suites.tiny: transfer.shots: 25 shots, but the pool of digits-3-5"),
    ((*TINY, "data", "targets", 0, "pool"), 4, "suites.tiny: transfer.shots: 5 shots, but the pool of digits-3-5 hol"),
    ((*TINY, "data", "targets", 0, "ways"), 1, "suites.tiny.data.targets.0.ways: expected a number greater than or"),
    ((*TINY, "data", "targets", 0, "test"), 0, "suites.tiny.data.targets.0.test: expected a number greater than or"),
    ((*TINY, "data", "source", "ways"), 2, "suites.tiny.data.source.ways: unknown key; known keys: background"),
    ((*TINY, "tuning"), {"factor": [1.0]}, "suites.tiny.tuning.factor: unknown key; did you mean 'factors'?"),
    ((*TINY, "tuning"), {"factors": [1.0, 1.0]}, "suites.tiny.tuning.factors: 1.0 is given twice"),
    ((*TINY, "tuning"), {"factors": [0.0]}, "suites.tiny.tuning.factors.0: expected a number greater than 0"),
    ((*TINY, "transfer", "controls"), ["thrice"], "suites.tiny.transfer.controls.0: expected 'twice', 'shuffled', "),
    ((*TINY, "transfer", "flops_cap"), 0.5, "suites.tiny.transfer.flops_cap: expected a number greater than or equal"),
    (
        (*TINY, "transfer"),
        ARMED,
        "suites.tiny.transfer: controls: they are compared with the weights mode 'fresh'; add it",
    ),
    ((*TINY, "transfer", "controls"), ["twice", "twice"], "suites.tiny.transfer.controls: 'twice' is given twice"),
    ((*TINY, "transfer", "finetune", "trained"), "body", "suites.tiny.transfer.finetune.trained: expected 'all' or "),
    ((*TINY, "transfer", "scratch", "trained"), "head", "suites.tiny.transfer.scratch.trained: unknown key; "),
    ((*TINY, "training", "precision"), "float16", "suites.tiny.training.precision: expected 'float32' or 'bfloat16'"),
    ((*TINY, "training", "flip"), 1, "suites.tiny.training.flip: expected a valid boolean"),
    ((*TINY, "methods", "random"), {"allocation": "ratios"}, "suites.tiny.methods.random.allocation: unknown key; kn"),
    ((*TINY, "methods", "random"), {"variants": ["a", "a"]}, "suites.tiny.methods.random.variants: 'a' is given twice"),
    (("run", "headline"), "tini", "run.headline: unknown suite 'tini'; did you mean 'tiny'?"),
    ((*TINY, "methods"), ["dap"], "suites.tiny.methods: expected a mapping of keys to values ({} for none)"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_told_by_its_key(
    tiny: dict[str, Any], path: tuple[str | int, ...], value: Any, message: str
) -> None:
    with pytest.raises(BenchError) as caught:
        parse(Params, with_value(tiny, path, value), "params.yaml")
    line = str(caught.value)
    assert line.startswith(f"params.yaml: {message}")
    assert "\n" not in line


def test_a_target_has_the_suite_s_tasks_where_it_names_none(tiny: dict[str, Any]) -> None:
    first = tiny["suites"]["tiny"]["data"]["targets"][0]
    own = {**first, "label": "own", "shots": [7, 2], "draws": 9, "pool": 30}
    suite = parse(Params, with_value(tiny, (*TINY, "data", "targets"), [first, own]), "params.yaml").suites["tiny"]
    assert [(suite.shots(t), suite.draws(t), suite.pool(t)) for t in suite.data.targets] == [
        ([1, 5], 2, 20),
        ([2, 7], 9, 30),
    ]


def test_more_shots_than_the_suite_s_pool_are_fine_where_a_target_s_own_is_larger(tiny: dict[str, Any]) -> None:
    changed = with_value(tiny, (*TINY, "transfer", "shots"), [25])
    with pytest.raises(BenchError, match="25 shots, but the pool of digits-3-5 holds 20 images"):
        parse(Params, changed, "params.yaml")
    changed = with_value(changed, (*TINY, "data", "targets", 0, "pool"), 25)
    assert (
        parse(Params, changed, "params.yaml")
        .suites["tiny"]
        .pool(parse(Params, changed, "params.yaml").suites["tiny"].data.targets[0])
        == 25
    )


def test_the_headline_is_one_of_the_suites_that_run(tiny: dict[str, Any]) -> None:
    assert parse(Params, with_value(tiny, ("run", "headline"), "tiny"), "params.yaml").run.headline == "tiny"
    tiny["suites"]["other"] = tiny["suites"]["tiny"]
    with pytest.raises(BenchError, match=r"run\.headline: unknown suite 'other'; .*tiny"):
        parse(Params, with_value(tiny, ("run", "headline"), "other"), "params.yaml")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_budget_is_a_share_strictly_between_0_and_1(budget: float) -> None:
    grid = {"granularities": ["channel"], "budgets": [budget], "seeds": [0]}
    if 0 < budget < 1:
        assert parse(GridSection, grid, "grid").budgets == [budget]
    else:
        with pytest.raises(BenchError, match="a share of the large model's cost"):
            parse(GridSection, grid, "grid")


def test_two_targets_with_one_label_are_refused(tiny: dict[str, Any]) -> None:
    target = tiny["suites"]["tiny"]["data"]["targets"][0]
    tiny["suites"]["tiny"]["data"]["targets"] = [target, {**target, "classes": [6, 7]}]
    with pytest.raises(BenchError, match="two targets share a label; give each its own"):
        parse(Params, tiny, "params.yaml")


def test_a_suite_runs_every_method_but_those_it_excludes(tiny: dict[str, Any]) -> None:
    tiny["suites"]["tiny"] |= {"methods": {}, "exclude": ["uniform"]}
    params = parse(Params, tiny, "params.yaml")
    assert params.methods_of("tiny") == [name for name in params.run.methods if name != "uniform"]
    # Without an entry of its own a method runs with all of its variants.
    assert params.variants_of("tiny", "random") == list(params.methods["random"].variants)
    tiny["suites"]["tiny"]["exclude"] = tiny["run"]["methods"]
    with pytest.raises(BenchError, match=r"suites\.tiny\.exclude: no method of run\.methods is left"):
        parse(Params, tiny, "params.yaml")


def test_a_method_needs_no_entry_of_its_own(tiny: dict[str, Any]) -> None:
    tiny["methods"] = {}
    params = parse(Params, tiny, "params.yaml")
    assert params.method("uniform").params == {} and params.variants_of("tiny", "uniform") == []


def test_a_part_of_the_file_is_named_by_its_prefix() -> None:
    with pytest.raises(BenchError) as caught:
        parse(Split, {"trian": 0.5}, "params.yaml", prefix="suites.x.data.split")
    assert str(caught.value) == "params.yaml: suites.x.data.split.trian: unknown key; did you mean 'train'?"


def test_exponents_without_a_point_are_numbers(tiny_params: Path) -> None:
    tiny_params.write_text(tiny_params.read_text().replace("lr: 0.05}", "lr: 5e-2}"))
    assert load_params(tiny_params).suites["tiny"].training.lr == 0.05


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping with the keys run, compute, data, methods, suites"),
        ("- 1\n", "expected a mapping"),
        ("run: [\n", "not readable as YAML"),
        ("run: {}\nrun: {}\n", "the key 'run' is given twice"),
        ("run: !!python/object/apply:os.getcwd []\n", "not readable as YAML"),
    ],
    ids=["empty", "a list", "cut short", "a key twice", "a Python object"],
)
def test_a_file_that_is_no_params_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(BenchError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00run")
    with pytest.raises(BenchError, match="not readable as YAML"):
        load_params(path)


def test_a_missing_file_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file; run in the repository's folder or name one with --params"):
        load_params(tmp_path / "params.yaml")
