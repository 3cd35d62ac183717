import csv
import io

import pytest
from matplotlib.text import Text

from benchmark.analysis import analyse_suite, read_summary
from benchmark.config.params import Params, parse
from benchmark.report import report_suite
from benchmark.report.captions import captions
from benchmark.report.figures import style
from benchmark.report.figures.study import study
from benchmark.report.labels import points, variant_label
from benchmark.report.view import View

VARIANTS = {
    "hard": {"study": "temperature", "params": {"tau_low": 0.0, "tau_high": 1.0}},
    "straight-through": {"study": "temperature", "params": {"tau_low": 0.0, "tau_high": 1000.0}},
    "init": {"study": "law", "params": {"law": "init"}},
    "each": {"study": "path", "params": {"searches": "each"}},
    "mine": {"study": "my-study", "params": {"travel": 2.0}},
}
NAMES = ["temperature", "law", "path", "my-study"]


def described(suite) -> Params:
    changes = {"grid": {"budgets": [0.5, 0.1, 0.01]}, "transfer": {"weights": ["fresh", "inherit"], "shots": [5]}}
    small = suite("Small", methods=["dense", "uniform", "dap"], **changes)
    methods = {"dense": {}, "uniform": {}, "dap": {"variants": VARIANTS}}
    content = {"run": {"suites": ["small"], "methods": list(methods)}, "methods": methods, "suites": {"small": small}}
    return parse(Params, content, "params")


@pytest.fixture
def made(tmp_path, suite):
    from synthetic_results import write_synthetic

    params = described(suite)
    write_synthetic(tmp_path, params, "small")
    analyse_suite(params, "small", tmp_path)
    return params, tmp_path


def names_in(folder):
    return {path.name for path in folder.glob("study-*")}


def test_files_and_what_an_earlier_run_left(made):
    params, root = made
    tables, figures = root / "reports" / "tables" / "small", root / "reports" / "figures" / "small"
    for old in (tables / "study-gone.md", figures / "study-gone.svg", figures / "study-gone.png"):
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_text("old")
    report_suite(params, "small", root)
    assert names_in(tables) == {f"study-{name}.{kind}" for name in NAMES for kind in ("md", "csv")}
    assert names_in(figures) == {f"study-{name}.{kind}" for name in NAMES for kind in ("png", "svg")}
    assert not (figures / "variants.svg").exists(), "all variants are in studies"
    assert "`study-law.md`" in (tables / "main.md").read_text()
    text = (tables / "study-temperature.md").read_text()
    assert "- straight-through: `tau_low` = 0.0, `tau_high` = 1000.0" in text
    widths = {len(line.split("|")) for line in text.split("\n\n")[4].splitlines()}
    assert len(widths) == 1
    records = list(csv.DictReader(io.StringIO((tables / "study-law.csv").read_text())))
    summary = read_summary(root, "small")
    assert len(records) == sum(r["study"] == "law" for name in ("areas", "searches") for r in summary[f"study_{name}"])


def test_figures(made):
    view = View(read_summary(made[1], "small"))
    with style.context():
        for name in NAMES:
            figure = study(view, name)
            figure.draw_without_rendering()
            assert figure.get_figwidth() <= style.WIDTH
            texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
            assert all(text.get_fontsize() >= 8 for text in texts)
            (legend,) = figure.legends
            box = legend.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
            assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
            left = figure.axes[0]
            shown = [text.get_text() for text in left.get_yticklabels()]
            assert shown[0] == "default" and len(shown) == 3 if name == "temperature" else len(shown) == 2
            points = [line.get_xdata()[0] for line in left.lines if line.get_marker() not in ("None", None, "")]
            wanted = [
                100 * r["difference"]
                for r in view.summary["study_areas"]
                if (r["study"], r["granularity"]) == (name, "channel") and r["difference"] is not None
            ]
            assert sorted(points) == pytest.approx(sorted(wanted))
            # Two weights modes, all budgets and the small ones.
            assert len(points) == 4 * (len(shown) - 1)
    titles = {name: [axes.get_title() for axes in study(view, name).axes[1:3]] for name in NAMES[:3]}
    assert titles == {
        "temperature": ["discretisation gap", "undecided units"],
        "law": ["spread of widths", "units shared by seeds"],
        "path": ["nested units", "accuracy, weights fresh"],
    }


def test_the_table_of_settings(made):
    params, root = made
    report_suite(params, "small", root)
    text = (root / "reports" / "tables" / "small" / "settings.md").read_text()
    summary = read_summary(root, "small")
    assert text.count("**ahead**") == len(NAMES), "one for each study, a variant or the default"
    shown = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert shown >= {variant_label(record["variant"]) for record in summary["study_settings"]}
    change = summary["study_settings"][0]
    assert points(change["difference"], change["half"]) in text


def test_captions_name_the_claims(made):
    found = {caption.name: caption for caption in captions(View(read_summary(made[1], "small")))}
    assert [found[f"study-{name}"].claims for name in NAMES] == [("C6",), ("C3", "C5"), ("C2",), ()]


def test_a_suite_without_studies_has_no_file_of_them(reported):
    assert not names_in(reported.reports / "tables" / "small") | names_in(reported.reports / "figures" / "small")
    assert not [c.name for c in captions(View(read_summary(reported.root, "small"))) if c.name.startswith("study")]
