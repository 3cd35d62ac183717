import itertools
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from benchmark.analysis import read_summary
from benchmark.analysis.groups import OVERALL
from benchmark.analysis.searches import read_search
from benchmark.pruning.looks import looks
from benchmark.report import figures, report_suite
from benchmark.report.colours import OTHERS
from benchmark.report.figures import style
from benchmark.report.figures.accuracy import shift
from benchmark.report.figures.costs import costs
from benchmark.report.layers import layers, traces
from benchmark.report.view import View


def parts(made, name="small"):
    view = View(read_summary(made.root, name))
    results = made.reports / "results" / name
    return view, layers(view, results), traces(results)


def all_figures(made, name="small"):
    view, kept, found = parts(made, name)
    with style.context():
        drawn = {
            "accuracy": figures.accuracy(view),
            "variants": figures.variants(view),
            "weights": figures.weights(view),
        }
        drawn["compute"] = figures.compute(view)
        drawn["arms"] = figures.arms(view)
        for granularity in view.granularities:
            drawn[f"targets {granularity}"] = figures.by_target(view, granularity)
            drawn[f"architectures {granularity}"] = figures.architectures(view, kept, granularity)
            drawn[f"dynamics {granularity}"] = figures.dynamics(view, found, granularity)
        for figure in drawn.values():
            if figure is not None:
                figure.draw_without_rendering()
    return view, drawn


@pytest.fixture(scope="module")
def drawn(reported):
    return all_figures(reported)


@pytest.fixture(scope="module")
def drawn_across(across):
    return all_figures(across, "fashion")


def test_files(reported):
    folder = reported.reports / "figures" / "small"
    names = [
        "accuracy",
        "costs",
        "variants",
        "weights",
        "compute",
        "architectures",
        "architectures-weight",
        "dynamics",
        "dynamics-weight",
    ]
    assert {path.name for path in folder.iterdir()} == {f"{n}.{kind}" for n in names for kind in ("svg", "png")}
    assert all((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in names)
    svg = (folder / "accuracy.svg").read_text()
    assert svg.startswith("<?xml") and "<dc:date>" not in svg


def test_the_same_bytes_again(reported):
    folders = [reported.reports / kind / "small" for kind in ("figures", "tables")]
    before = {path: path.read_bytes() for folder in folders for path in folder.iterdir()}
    assert len(before) > 20
    report_suite(reported.params, "small", reported.root)
    assert before == {path: path.read_bytes() for folder in folders for path in folder.iterdir()}


def shown(drawn):
    return [(name, figure) for name, figure in drawn[1].items() if figure is not None]


def visible_text(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("suite_drawn", ["drawn", "drawn_across"])
def test_text_is_legible_at_print_size(suite_drawn, request):
    for name, figure in shown(request.getfixturevalue(suite_drawn)):
        assert figure.get_figwidth() <= style.WIDTH
        small = {text.get_text(): text.get_fontsize() for text in visible_text(figure) if text.get_fontsize() < 8}
        assert not small, (name, small)


@pytest.mark.parametrize("suite_drawn", ["drawn", "drawn_across"])
def test_legends_cover_no_panel_and_stay_inside(suite_drawn, request):
    for name, figure in shown(request.getfixturevalue(suite_drawn)):
        for box in (legend.get_window_extent() for legend in figure.legends):
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, name
            assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes), name


def level_lines(axes):
    return [
        line.get_ydata()[0]
        for line in axes.lines
        if len(set(line.get_ydata())) == 1 and list(line.get_xdata()) == [0, 1]
    ]


@pytest.mark.parametrize("suite_drawn", ["drawn", "drawn_across"])
@pytest.mark.parametrize("name", ["accuracy", "variants", "weights", "compute"])
def test_dense_control_and_its_interval_in_every_panel(suite_drawn, name, request):
    view, found = request.getfixturevalue(suite_drawn)
    if found[name] is None:
        assert (suite_drawn, name) == ("drawn_across", "variants"), "no method has variants there"
        return
    dense = {
        100 * view.dense(g, weights, t, shots)["accuracy"]
        for g in view.granularities
        for t in [view.headline_target]
        for shots in view.shots_of(t)
        for weights in view.weights
    }
    guesses = {100 * view.chance(view.headline_target, shots) for shots in view.shots_of(view.headline_target)}
    panels = [axes for axes in found[name].axes if axes.axison]
    assert panels
    for axes in panels:
        levels = [level for level in level_lines(axes) if level not in guesses]
        assert levels and all(min(abs(level - d) for d in dense) < 1e-9 for level in levels)
        assert axes.patches, "no interval band"


def test_axes_of_the_main_figure(drawn):
    view, found = drawn
    panels = found["accuracy"].axes
    assert len(panels) == len(view.granularities) * len(view.shots)
    for axes in panels:
        assert axes.get_xscale() == "log"
        assert list(axes.get_xticks()) == [1.0, 10.0, 50.0]
        low, high = axes.get_ylim()
        assert low >= 0 and high <= 100
    assert found["accuracy"].get_supxlabel() == "complexity (% of parameters)"
    assert panels[0].get_ylabel() == "channel pruning\naccuracy (%)"
    assert [axes.get_title() for axes in panels[:2]] == ["1 shot per class", "5 shots per class"]


def test_points_are_the_summary_s(drawn):
    view, found = drawn
    line = next(line for line in found["accuracy"].axes[0].lines if line.get_label() == "DAP")
    cells = view.curve("channel", "dap", "", "fresh", "digits-5-9", 1)
    assert list(line.get_ydata()) == pytest.approx([100 * cell["accuracy"] for cell in cells])
    ratio = np.array(line.get_xdata()) / [100 * cell["complexity"] for cell in cells]
    assert np.all(np.abs(np.log(ratio)) < 0.1), "sideways by at most a few percent"


@pytest.mark.parametrize("count", [1, 3, 30])
def test_points_stay_at_their_budget_however_many_curves_there_are(count):
    """Thirty curves were set aside by up to 60 %, the outermost beyond the axes."""
    sideways = [math.log(shift(index, count)) for index in range(count)]
    assert sideways == sorted(set(sideways)) and sum(sideways) == pytest.approx(0, abs=1e-9)
    assert max(sideways) - min(sideways) <= 0.161


def test_every_method_has_a_look_of_its_own():
    names = [
        *(name for name, look in looks().items() if look.color),
        *(f"third_party_{i}" for i in range(len(OTHERS))),
    ]
    look = style.Look(names)
    shown = [look.of(name) for name in names]
    assert len({to_hex(one["color"]) for one in shown} | {style.DENSE_COLOUR.lower()}) == len(names) + 1
    assert len({one["marker"] for one in shown}) == len(names)
    assert style.Look(["dap"]).of("dap") == look.of("dap")


def test_the_method_under_study_stands_out_by_more_than_its_colour(drawn):
    """Its colour is near that of another: a thicker line on top of the others, larger markers with a dark edge."""
    lines = {line.get_label(): line for line in drawn[1]["accuracy"].axes[0].lines}
    ours, other = lines["DAP"], lines["uniform width"]
    for value in ("get_linewidth", "get_markersize", "get_zorder"):
        assert getattr(ours, value)() > getattr(other, value)(), value
    assert to_hex(ours.get_markeredgecolor()) == "#000000" != to_hex(other.get_markeredgecolor())


def test_variants_share_their_method_s_colour(drawn):
    _, found = drawn
    lines = [line for line in found["variants"].axes[0].lines if line.get_label() in ("default", "init")]
    assert len({line.get_color() for line in lines}) == 1
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2


def test_architectures_show_the_mean_over_seeds(reported, drawn):
    view, kept, _ = parts(reported)
    axes = drawn[1]["architectures channel"].axes[0]
    values = axes.collections[0].get_array().reshape(len(view.methods), -1)
    found = read_search(reported.reports / "results" / "small" / "dap.search.json")["architectures"]
    first = [a for a in found if (a["granularity"], a["variant"], a["budget"]) == ("channel", "", 0.5)]
    mean = sum(a["kept"]["features.3"] for a in first) / len(first) / first[0]["sizes"]["features.3"]
    assert len(first) == 3
    assert values[view.methods.index("dap"), 3] == pytest.approx(mean)
    assert {record["layer"] for record in kept} == set(range(1, 14))


def test_dynamics_has_a_line_per_seed_and_law(reported, drawn):
    view, _, found = parts(reported)
    panels = drawn[1]["dynamics channel"].axes
    assert len(panels) == 4 * 2
    loss = panels[0]
    assert len(loss.lines) == len(view.seeds)
    points = next(t for t in found if (t["granularity"], t["variant"], t["seed"]) == ("channel", "", 0))["points"]
    assert list(loss.lines[0].get_ydata()) == [point["loss"] for point in points]
    assert panels[2].get_yscale() == "log"


def test_compute_is_the_sum_of_all_three(drawn):
    view, found = drawn
    cell = view.cell("channel", "dap", "", "fresh", "digits-5-9", 0.5, 1)
    gflop = (cell["pretrain_flops"] + cell["search_flops"] + cell["train_flops"]) / 1e9
    assert any(
        np.isclose(line.get_xdata()[0], gflop) for line in found["compute"].axes[0].lines if len(line.get_xdata()) == 1
    )


ONE = {
    "grid": {"granularities": ["weight"], "budgets": [0.1], "seeds": [0]},
    "transfer": {"shots": [3], "weights": ["scratch"]},
}


def test_one_of_everything(make, suite):
    made = make(one=suite("One", **ONE))
    _view, found = all_figures(made, "one")
    assert found["weights"] is None
    assert len(found["accuracy"].axes) == 1
    assert all(not axes.patches for axes in found["accuracy"].axes), "one seed has no interval band"
    for name in ("accuracy", "compute"):
        box = found[name].legends[0].get_window_extent()
        assert box.x0 >= 0 and box.x1 <= found[name].bbox.x1
    report_suite(made.params, "one", made.root)
    assert not (made.reports / "figures" / "one" / "weights.png").exists()


def test_an_old_figure_does_not_survive(make, suite):
    made = make(one=suite("One", methods=["dense", "uniform"], **ONE))
    old = made.reports / "figures" / "one" / "variants.svg"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    report_suite(made.params, "one", made.root)
    assert not old.exists()
    assert (old.parent / "accuracy.svg").exists()


def test_several_targets_have_their_mean_in_the_main_figure(drawn_across):
    view, found = drawn_across
    panels = found["accuracy"].axes
    assert [axes.get_title() for axes in panels] == ["channel pruning", "weight pruning"]
    assert panels[0].get_ylabel() == "accuracy (%), mean over targets"
    for axes, granularity in zip(panels, view.granularities, strict=True):
        line = next(line for line in axes.lines if line.get_label() == "DAP")
        cells = view.curve(granularity, "dap", "", "fresh", OVERALL, 5)
        assert list(line.get_ydata()) == pytest.approx([100 * cell["accuracy"] for cell in cells])
    for name in ("variants", "weights", "compute"):
        assert found[name] is None or len(found[name].axes) <= 2 * len(view.methods)


def test_every_target_has_a_row_and_an_axis_of_its_own(drawn_across):
    view, found = drawn_across
    figure = found["targets channel"]
    rows = [figure.axes[start : start + 4] for start in range(0, 16, 4)]
    assert [row[0].get_ylabel().split("\n")[0] for row in rows] == view.targets
    assert [axes.get_title() for axes in rows[0]] == [f"{n} shot{'s' * (n > 1)} per class" for n in (1, 5, 10, 20)]
    for target, row in zip(view.targets, rows, strict=True):
        assert len({axes.get_ylim() for axes in row}) == 1
        for shots, axes in zip(view.shots, row, strict=True):
            asked = shots in view.shots_of(target)
            assert bool(level_lines(axes)) == asked, (target, shots)
            if asked:
                dense = 100 * view.dense("channel", "fresh", target, shots)["accuracy"]
                guess = 100 * view.chance(target, shots)
                assert level_lines(axes) == pytest.approx([guess, dense])
    # The lowest panel of every column carries the ticks' numbers.
    numbered = [
        [bool([t for t in axes.get_xticklabels() if t.get_text() and t.get_visible()]) for axes in row] for row in rows
    ]
    assert [[r[c] for r in numbered] for c in range(4)] == [
        [False, False, True, False],
        [False, False, False, True],
        [False, False, True, False],
        [False, True, False, False],
    ]


def test_guessing_is_one_over_the_classes_of_a_task(across):
    view = View(read_summary(across.root, "fashion"))
    assert [view.chance(target, 5) for target in view.targets] == [0.1, 0.1, 0.2, pytest.approx(1 / 242, abs=1e-6)]
    assert view.chance(OVERALL, 10) == pytest.approx((0.1 + 0.1 + 0.2) / 3)
    assert view.chance(OVERALL, 20) == pytest.approx(0.1)


def test_tick_labels_do_not_touch():
    ticks = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0]
    assert style._spaced(ticks, 1.0) == ["1", "2", "5", "10", "25", "50"]
    shown = style._spaced(ticks, 0.2)
    assert shown[-1] == "50" and "" in shown
    at = [tick for tick, text in zip(ticks, shown, strict=True) if text]
    assert all(0.2 * math.log(b / a) >= 0.2 for a, b in itertools.pairwise(at))


def test_arms_are_the_summary_s(drawn, drawn_across):
    assert drawn[1]["arms"] is None
    view, found = drawn_across
    panels = found["arms"].axes
    assert [axes.get_title() for axes in panels] == ["channel pruning", "weight pruning"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["shuffled", "inverted", "labels", "flops"]
    records = [r for r in view.summary["arms"] if r["measure"] == "area" and r["granularity"] == "weight"]
    points = [line.get_xdata()[0] for line in panels[1].lines if line.get_marker() not in ("None", None, "")]
    assert sorted(points) == pytest.approx(sorted(100 * r["difference"] for r in records))
    assert len(points) == 4 * len(view.methods)


def test_both_costs_are_side_by_side(reported):
    view = View(read_summary(reported.root, "small"))
    figure = costs(view)
    assert [axes.get_xlabel().partition(" (")[0] for axes in figure.axes] == ["parameters", "MACs"] * 2
    place = ("fresh", view.headline_target, view.headline_shots)
    cells = view.curve("weight", "uniform", "", *place)
    dense = view.dense("weight", *place)
    for axes, cost in zip(figure.axes[2:], ("params", "macs"), strict=True):
        curves = {line.get_label(): line for line in axes.lines}
        assert list(curves["uniform width"].get_xdata()) == pytest.approx([100 * c[cost] / dense[cost] for c in cells])
        assert list(curves["uniform width"].get_ydata()) == pytest.approx([100 * c["accuracy"] for c in cells])
        assert len(level_lines(axes)) == 3, "guessing, and the dense control, also in scratch"


def test_without_the_dense_control_there_is_no_share_of_the_other_cost(make, suite):
    made = make(one=suite("One", methods=["uniform", "dap"]))
    assert costs(View(read_summary(made.root, "one"))) is None


def test_a_legend_is_as_wide_as_the_page():
    assert style._legend_columns(["short"] * 7, style.WIDTH) == 7
    assert style._legend_columns(["short"] * 8, style.WIDTH) == 4, "balanced rows"
    long = ["raw pixels, logistic regression"] * 12
    columns = style._legend_columns(long, style.WIDTH)
    assert 1 < columns < 5 and style._legend_columns(long, 2.0) == 1


def test_a_figure_is_the_same_file_where_last_digits_differ() -> None:
    def drawn(shift: float) -> bytes:
        with style.context():
            figure, axes = plt.subplots(figsize=(2 + shift, 2))
            axes.plot([0.1, 0.2, 0.3], [1, 3, 2], marker="o")
            axes.scatter([0.1, 0.2], [2, 2], marker="s")
            axes.imshow([[0, 1], [1, 0]], extent=(0.1, 0.2, 1, 2))
            plt.close(figure)
            return style.rendered(figure, "svg")

    content = drawn(0)
    assert drawn(1e-12) == content
    ids = re.findall(rb'\bid="([^"]+)"', content)
    assert len(ids) == len(set(ids))
    assert set(re.findall(rb'(?:href="|url\()#([^")]+)', content)) <= set(ids)
