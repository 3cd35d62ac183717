import pytest
from matplotlib.figure import Figure

from benchmark.analysis import read_summary
from benchmark.report.figures.endpoints import primary
from benchmark.report.figures.forest import Mark, forest, look
from benchmark.report.labels import MINUS, NBSP
from benchmark.report.view import View

DOT = {"color": "black", "marker": "o"}


@pytest.fixture
def axes():
    return Figure().subplots()


def drawn(axes):
    """The marks, the intervals and the lines between rows of a panel without the line at zero, as points."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


def test_places_share_the_band_of_their_row(axes):
    # Three parts of 0.24 around row 2: the band is from 1.64 to 2.36.
    forest(axes, ["a"], [Mark(2, place, 0.0, None, DOT) for place in range(3)], 3, zero=False)
    assert [y for _, (y,) in drawn(axes)] == pytest.approx([1.76, 2.0, 2.24])


def test_a_mark_and_its_interval_are_in_percent(axes):
    forest(axes, ["a"], [Mark(1, 0, -0.02, 0.03, DOT)], 1, zero=False)
    mark, interval = drawn(axes)
    assert mark == ([-2], [1]) and interval == (pytest.approx([-5, 1]), [1, 1])
    assert axes.lines[1].get_color() == "black"


def test_one_seed_has_a_mark_alone(axes):
    forest(axes, ["a"], [Mark(0, 0, 0.01, None, DOT)], 1, zero=False)
    assert drawn(axes) == [([1], [0])]


def test_rows_are_named_from_the_top_and_parted(axes):
    forest(axes, ["one", "two", "three"], [], 1)
    assert axes.get_ylim() == (2.5, -0.5)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two", "three"]
    assert drawn(axes)[0][0] == [0, 0], "where nothing differs"
    assert [y for _, (y, _) in drawn(axes)[1:]] == [0.5, 1.5]


@pytest.mark.parametrize("whole", [False, True])
def test_ticks_of_a_short_axis_are_integers_when_asked_for(axes, whole):
    forest(axes, ["one"], [], 1, whole=whole)
    axes.set_xlim(-0.3, 1.2)
    assert all(float(tick).is_integer() for tick in axes.get_xticks()) is whole


def test_open_marks_are_white():
    assert [look("red", "D", filled)["markerfacecolor"] for filled in (True, False)] == ["red", "white"]


def test_endpoints_are_named_by_what_tells_them_apart(reported):
    summary = read_summary(reported.root, "small")
    place = {"first": "dap", "granularity": "channel", "weights": "fresh", "measure": "nearest", "targets": "mean"}
    place |= {"shots": [5], "budgets": [0.1], "difference": 0.03, "half": 0.01, "joint_half": 0.02}
    over = [{"second": "uniform", "cost": "params"}, {"second": "random+live", "cost": "macs"}]
    figure = primary(View(summary | {"primary": [place | one for one in over]}))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"DAP {MINUS} uniform width\n10{NBSP}% of parameters",
        f"DAP {MINUS} random (live)\n10{NBSP}% of MACs",
    ]
    intervals = [x for x, y in drawn(axes) if len(x) == 2 and y[0] == y[1] and x[0] != 0]
    assert intervals == [pytest.approx(x) for x in ([2, 4], [1, 5]) * 2]
    untested = place | over[0] | {"difference": None, "half": None, "joint_half": None}
    assert primary(View(summary | {"primary": [untested]})) is None
