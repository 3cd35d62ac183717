from pathlib import Path

import pytest
from submitted import furnish, submission

from benchmark.analysis import analyse_suite
from benchmark.analysis.contributed import contributed_file
from benchmark.config.params import load_params
from benchmark.files import write_json
from benchmark.report.contributed import note, tables, text
from benchmark.report.render import markdown
from benchmark.report.view import View


@pytest.fixture
def view(tiny_params: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    """The tiny suite, of which the dense control alone has run, and one contributed method."""
    params, root = load_params(tiny_params), tiny_params.parent
    furnish(root, params)
    write_json(contributed_file(root, "tiny", "mine"), submission(root, params, monkeypatch))
    return View(analyse_suite(params, "tiny", root))


def test_rows_of_others_are_marked_and_compared_with_nothing(view: View) -> None:
    found = tables(view)
    assert [title for title, _ in found] == ["channel pruning, contributed", "weight pruning, contributed"]
    for _, table in found:
        (row,) = table.rows
        assert "mine (contributed)" in markdown(table.table)
        # 0.4 + 0.1 budget + 0.02 seed + 0.01 draw, over the seeds 0, 1 and the draws 0, 1, at the budgets 0.5 and 0.1
        assert [entry and round(100 * entry.mean, 6) for entry in row.entries[:2]] == [46.5, 42.5]
        assert [entry and entry.mark for entry in row.entries] == ["", "", ""]
        assert (table.levels, table.smallest) == ({}, [None, None, None])


def test_they_are_nowhere_else(view: View) -> None:
    assert view.methods == []
    assert {cell["method"] for cell in view.summary["cells"]} == {"dense"}
    assert not view.summary["tests"] and not view.summary["areas"]


def test_it_is_said_whose_they_are(view: View) -> None:
    assert note(view).startswith("Computed by others: mine from my_pruner, on ")
    assert text(view).endswith(note(view))


def test_without_contributions_there_is_nothing(view: View) -> None:
    alone = View({name: value for name, value in view.summary.items() if name != "contributed"})
    assert (tables(alone), note(alone), text(alone)) == ([], "", "")
