import pytest
from matplotlib.figure import Figure

from benchmark.report.figures import rows


@pytest.fixture
def axes():
    return Figure().subplots()


def test_places_share_the_band_of_their_row():
    # Four parts of 0.2 around row 2: the band is from 1.6 to 2.4.
    assert [rows.height(2, place, 4, 0.8) for place in range(4)] == pytest.approx([1.7, 1.9, 2.1, 2.3])
    assert rows.height(1, 0, 1, 0.8) == 1


def test_a_point_and_its_interval_are_in_percent(axes):
    rows.point(axes, -0.02, 0.03, 1.5, 0.9, color="black", marker="o")
    point, interval = axes.lines
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([-2], [1.5])
    assert list(interval.get_xdata()) == pytest.approx([-5, 1]) and list(interval.get_ydata()) == [1.5, 1.5]
    assert (interval.get_color(), interval.get_linewidth()) == ("black", 0.9)


def test_one_seed_has_a_point_alone(axes):
    rows.point(axes, 0.01, None, 0, 0.9, color="black", marker="o")
    assert [list(line.get_xdata()) for line in axes.lines] == [[1]]


def test_rows_are_named_from_the_top_and_parted(axes):
    rows.name(axes, ["one", "two", "three"])
    assert axes.get_ylim() == (2.5, -0.5)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two", "three"]
    assert [line.get_ydata()[0] for line in axes.lines] == [0.5, 1.5]


@pytest.mark.parametrize("whole", [False, True])
def test_ticks_of_a_short_axis_are_integers_when_asked_for(axes, whole):
    rows.name(axes, ["one"], whole)
    axes.set_xlim(-0.3, 1.2)
    assert all(float(tick).is_integer() for tick in axes.get_xticks()) is whole
