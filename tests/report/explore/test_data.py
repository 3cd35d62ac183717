import json
import shutil

import pytest
from synthetic_results import write_synthetic

from benchmark.analysis import analyse_suite, read_summary
from benchmark.protocol.controls import DENSE
from benchmark.report.explore.data import explored, text
from benchmark.report.layers import layers
from benchmark.report.view import View


@pytest.fixture(scope="module")
def data(across):
    return explored(across.params, across.root)


def records(columns):
    lists = {
        name: [found["words"][at] for at in found["at"]] if isinstance(found, dict) else found
        for name, found in columns.items()
    }
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def test_suites_come_in_order_with_every_cell(across, data):
    assert [suite["name"] for suite in data["suites"]] == ["fashion", "small"]
    for suite in data["suites"]:
        summary = read_summary(across.root, suite["name"])
        (one,) = suite["slices"]
        found = records(one["cells"])
        assert len(found) == len(summary["cells"])
        for cell, own in zip(summary["cells"], found, strict=True):
            assert own["accuracy"] == pytest.approx(cell["accuracy"], rel=1e-4)
            assert (own["method"], own["budget"], own["target"]) == (cell["method"], cell["budget"], cell["target"])
    assert [suite["few"] for suite in data["suites"]] == [False, True]


def test_methods_have_looks_and_the_dense_control_none(data):
    assert DENSE == data["dense"] not in data["methods"]
    for look in data["methods"].values():
        assert set(look) == {"label", "light", "dark", "shape", "stands_out"}
    assert [name for name, look in data["methods"].items() if look["stands_out"]] == ["dap"]
    assert data["methods"]["dap"]["label"] == "DAP"


def test_levels_are_those_of_the_view(across, data):
    view = View(read_summary(across.root, "fashion"))
    found = {(one["target"], one["shots"]): one for one in data["suites"][0]["slices"][0]["levels"]}
    assert found["mnist", 5]["chance"] == view.chance("mnist", 5)
    assert set(found) == {(target, shots) for target in view.shown_targets for shots in view.shots_of(target)}


def test_layers_without_search_files_are_absent(make, suite):
    made = make(small=suite("Small", grid={"granularities": ["channel"], "budgets": [0.5, 0.1]}))
    (before,) = explored(made.params, made.root)["suites"]
    assert records(before["layers"]["params"])
    for path in (made.reports / "results" / "small").glob("*.search.json"):
        path.unlink()
    (after,) = explored(made.params, made.root)["suites"]
    assert records(after["layers"]["params"]) == [] and after["slices"] == before["slices"]


def two_costs(suite):
    return suite(
        "Two costs",
        grid={"granularities": ["channel"], "budgets": [0.5, 0.1], "costs": ["params", "macs"]},
        transfer={"nearest": {"episodes": 3}, "weights": ["fresh", "inherit"]},
    )


def test_every_slice_is_there(make, suite):
    made = make(small=two_costs(suite))
    (found,) = explored(made.params, made.root)["suites"]
    assert [(one["cost"], one["measure"]) for one in found["slices"]] == [
        (cost, measure) for cost in ("params", "macs") for measure in ("finetune", "nearest")
    ]
    assert (found["headline"]["cost"], found["headline"]["measure"]) == ("params", "finetune")
    assert all(records(one["cells"]) for one in found["slices"])
    assert set(found["layers"]) == {"params", "macs"}


def test_layers_are_of_one_cost(make, suite):
    """Architectures found for shares of MACs were counted among those for shares of parameters."""
    made = make(small=two_costs(suite))
    view = View(read_summary(made.root, "small"))
    kept = layers(view, made.reports / "results" / "small")
    assert {one["seeds"] for one in kept} == {len(view.seeds)}


def test_text_may_stand_in_a_script(tmp_path, reported):
    root = tmp_path / "root"
    shutil.copytree(reported.root, root)
    found = text(explored(reported.params, root))
    assert "<" not in found and json.loads(found)["suites"][0]["title"] == "A <small> suite & more"
    assert json.loads(found) == explored(reported.params, root)


def test_the_same_rows_give_the_same_text(tmp_path, reported):
    write_synthetic(tmp_path, reported.params, "small")
    analyse_suite(reported.params, "small", tmp_path)
    assert text(explored(reported.params, tmp_path)) == text(explored(reported.params, reported.root))
