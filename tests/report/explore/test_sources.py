import pytest

from benchmark.analysis import read_summary
from benchmark.report.captions import captions
from benchmark.report.explore.sources import sources
from benchmark.report.layers import layers, traces
from benchmark.report.view import View


@pytest.fixture(params=["reported", "across"])
def shown(request):
    made, name = request.getfixturevalue(request.param), {"reported": "small", "across": "fashion"}[request.param]
    view = View(read_summary(made.root, name))
    results = made.reports / "results" / name
    return view, sources(view, traces(results)), {"cells": view.summary["cells"], "layers": layers(view, results)}


def test_every_figure_has_data(shown):
    view, found, records = shown
    names = {caption.name for caption in captions(view)} & set(found)
    assert names == {caption.name for caption in captions(view)}
    for name in names:
        source = found[name]
        if source["of"] == "rows":
            assert source["rows"] or name in ("primary", "arms")
        else:
            where = source["where"].items()
            assert [one for one in records[source["of"]] if all(one[key] == value for key, value in where)], name


def test_the_main_figure_s_data_are_its_curves(shown):
    view, found, records = shown
    where = found["accuracy"]["where"].items()
    rows = [cell for cell in records["cells"] if all(cell[key] == value for key, value in where)]
    panels = len(view.granularities) * (1 if view.several else len(view.shots))
    assert len(rows) == panels * (len(view.methods) * len(view.budgets) + 1), "and the dense control's"


def test_steps_are_those_of_the_traces(reported):
    view = View(read_summary(reported.root, "small"))
    own = traces(reported.reports / "results" / "small")
    rows = sources(view, own)["dynamics"]["rows"]
    points = [p for trace in own if trace["granularity"] == "channel" for p in trace["points"]]
    assert rows["step"] == [p["step"] for p in points]
    assert rows["loss"] == pytest.approx([p["loss"] for p in points], rel=1e-4)
