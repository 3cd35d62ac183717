from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from synthetic_results import write_synthetic

from benchmark.analysis import analyse_suite
from benchmark.config.params import Control, Params, parse
from benchmark.report import report_page, report_suite

RECIPE = {"steps": 4, "batch": 8, "lr": 0.1}


def suite(title: str, **changes) -> dict:
    """A suite of two granularities and three budgets; `changes` override grid, transfer, targets, methods or tuning.

    Targets are labels, or a mapping of labels to what holds on them alone.
    """
    targets = changes.get("targets", ["digits-5-9"])
    own = targets if isinstance(targets, dict) else {label: {} for label in targets}
    grid = {"granularities": ["channel", "weight"], "budgets": [0.5, 0.1, 0.01], "seeds": [0, 1, 2]}
    transfer = {"weights": ["fresh", "scratch", "inherit"], "shots": [1, 5], "draws": 2}
    return {
        "title": title,
        "data": {
            "source": {"name": "digits", "classes": [0, 1]},
            "targets": [{"label": label, "name": "digits", **only} for label, only in own.items()],
        },
        "model": {"name": "own:vgg16", "width": 0.125},
        "grid": grid | changes.get("grid", {}),
        "training": RECIPE,
        "transfer": transfer | {"finetune": RECIPE, "scratch": RECIPE} | changes.get("transfer", {}),
        "methods": {method: {} for method in changes.get("methods", ["dense", "uniform", "dap", "my_pruner"])}
        | changes.get("suite_methods", {}),
        "tuning": changes.get("tuning"),
    }


def parameters(**suites: dict) -> Params:
    methods = {method: {} for config in suites.values() for method in config["methods"]}
    dap = {"dap": {"variants": {"init": {"params": {"law": "init"}}}}} if "dap" in methods else {}
    run = {"suites": list(suites), "methods": list(methods)}
    return parse(Params, {"run": run, "methods": methods | dap, "suites": suites}, "params")


def build(root: Path, params: Params) -> None:
    for name in params.run.suites:
        write_synthetic(root, params, name)
        analyse_suite(params, name, root)
        report_suite(params, name, root)
    report_page(params, root)


@pytest.fixture(scope="session")
def reported(tmp_path_factory) -> SimpleNamespace:
    """A root with the whole report of the suite `small`, and its parameters; not to be changed."""
    root = tmp_path_factory.mktemp("reported")
    params = parameters(small=suite("A <small> suite & more"))
    build(root, params)
    return SimpleNamespace(root=root, params=params, reports=root / "reports")


TARGETS = {
    "mnist": {"test": 40},
    "sign-language": {"draws": 1},
    "omniglot-5-way": {"ways": 5, "shots": [1, 5, 10], "pool": 10},
    "omniglot-flat": {"shots": [5], "steps": 30, "batch": 64, "draws": 1},
}


@pytest.fixture(scope="session")
def across(tmp_path_factory) -> SimpleNamespace:
    """The whole report of the suite `fashion`, of several targets with shots of their own, and of `small`."""
    root = tmp_path_factory.mktemp("across")
    transfer = {"weights": ["fresh", "inherit"], "shots": [1, 5, 10, 20], "controls": list(get_args(Control))}
    finetune = {**RECIPE, "precision": "bfloat16", "trained": "head", "flip": True}
    fashion = suite(
        "Fashion to others",
        targets=TARGETS,
        transfer=transfer | {"finetune": finetune},
        tuning={"factors": [0.5, 1.0, 2.0]},
        suite_methods={"dap": {"variants": []}},
    )
    params = parameters(small=suite("Small", grid={"seeds": [0]}), fashion=fashion)
    params = params.model_copy(update={"run": params.run.model_copy(update={"headline": "fashion"})})
    build(root, params)
    return SimpleNamespace(root=root, params=params, reports=root / "reports")


@pytest.fixture
def make(tmp_path) -> Callable[..., SimpleNamespace]:
    """Return a function that makes parameters, results and analysis, without a report."""

    def made(**suites: dict) -> SimpleNamespace:
        params = parameters(**suites)
        for name in params.run.suites:
            write_synthetic(tmp_path, params, name)
            analyse_suite(params, name, tmp_path)
        return SimpleNamespace(root=tmp_path, params=params, reports=tmp_path / "reports")

    return made


@pytest.fixture(name="suite")
def suite_fixture() -> Callable[..., dict]:
    return suite
