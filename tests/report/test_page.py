import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from synthetic_results import keep_every_rule

from benchmark.analysis import read_summary
from benchmark.errors import BenchError
from benchmark.report import readme, report_page, report_suite
from benchmark.report.captions import CLAIMS, captions
from benchmark.report.comparisons import rivals
from benchmark.report.labels import NBSP
from benchmark.report.protocol import protocol, task
from benchmark.report.provenance import provenance
from benchmark.report.view import View

VOID = {"meta", "link", "img", "br", "hr"}


class Outline(HTMLParser):
    """Collects links, ids and element names, and refuses elements that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.ids, self.names = [], [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.names.add(tag)
        self.links += [found[key] for key in ("href", "src") if key in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(reported):
    return (reported.reports / "index.html").read_text()


def test_page_is_self_contained(reported, page):
    outline = Outline(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "link" not in outline.names and not re.search(r"<script[^>]* src=", page)
    outside = [link for link in outline.links if "://" in link]
    assert outside == ["https://arxiv.org/abs/2107.03375"]
    inside = [link for link in outline.links if "://" not in link and not link.startswith("#")]
    assert len(inside) > 20
    assert not [link for link in inside if not (reported.reports / link).exists()]
    assert len(set(outline.ids)) == len(outline.ids)


def test_page_shows_every_figure_with_its_claim(reported, page):
    for path in (reported.reports / "figures" / "small").glob("*.svg"):
        assert f'src="figures/small/{path.name}"' in page
    shown = set(re.findall(r"tests (C[0-9](?:, C[0-9])*)<", page))
    assert {claim for group in shown for claim in group.split(", ")} <= set(CLAIMS)
    assert "of the paper" not in page


def test_page_escapes_what_params_say(page):
    assert "A &lt;small&gt; suite &amp; more" in page
    assert "<small>" not in page


def test_page_has_the_headline_table(reported, page):
    view = View(read_summary(reported.root, "small"))
    cell = view.cell("channel", "dap", "", "fresh", "digits-5-9", 0.5, view.headline_shots)
    assert f"{100 * cell['accuracy']:.1f}{NBSP}±{NBSP}{100 * cell['half']:.1f}" in page


def test_page_shows_the_comparisons_of_the_main_table(reported, page):
    found = rivals(View(read_summary(reported.root, "small")))
    table = page[page.index('id="small-rivals">') :].partition("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in table.splitlines() if line.startswith("<tr>")]
    assert rows == [[text.replace("<", "&lt;") for text in row] for row in found.texts]
    assert re.findall(r"<th [^>]*>(.*?)</th>", table.partition("<tbody>")[0]) == found.heads
    assert len(found.heads) == 6 and found.heads[4].endswith(f"10{NBSP}% and less")


def test_captions_name_figures_in_order(reported):
    found = captions(View(read_summary(reported.root, "small")))
    assert [c.name for c in found] == [
        "accuracy",
        "costs",
        "variants",
        "weights",
        "architectures",
        "architectures-weight",
        "dynamics",
        "dynamics-weight",
        "compute",
        "primary",
        "arms",
    ]
    assert all(set(c.claims) <= set(CLAIMS) for c in found)


def test_protocol_is_computed(reported):
    text = " ".join([task(reported.params.suites["small"]), *protocol(reported.params, "small")])
    for part in (
        "own:vgg16 at 0.125 times",
        "classes 0 and 1",
        "3 search seeds",
        "4 steps of 8 images",
        "1 and 5 shots",
    ):
        assert part.lower() in text.lower(), part


def test_provenance_merges_what_is_equal():
    same = {"machine": {"cpu": "X"}, "data": {"digits": "ab" * 32}}
    summary = {"provenance": {"dense": {**same, "device": "cpu"}, "dap": {**same, "device": "cuda"}}}
    assert provenance(summary).texts == [
        ["machine cpu", "X"],
        ["data digits", "abababababab…"],
        ["device", "cpu (dense)"],
        ["device", "cuda (DAP)"],
    ]


def test_several_suites(make, suite):
    grid = {"granularities": ["channel"], "budgets": [0.5, 0.1], "seeds": [0]}
    made = make(first=suite("First", grid=grid), second=suite("Second", grid=grid))
    text = report_page(made.params, made.root).read_text()
    outline = Outline(text)
    assert {"#first", "#second"} <= set(outline.links) and {"first", "second"} <= set(outline.ids)
    assert outline.ids.count("first-headline") == outline.ids.count("second-rivals") == 1
    assert text.count("against its rivals") == 2 * 2, "in the contents and above each"
    assert "figure" not in outline.names, "figures that were not drawn are left out"
    assert text.count("own:vgg16 at 0.125 times") == 1 and text.count("correlate by 0.99") == 1, "of the same data once"
    assert 'Large model and data are those of <a href="#first-protocol">First</a>.' in text


def test_other_data_are_told_of_each_suite(make, suite):
    grid = {"granularities": ["channel"], "budgets": [0.5, 0.1], "seeds": [0]}
    made = make(first=suite("First", grid=grid), second=suite("Second", grid=grid, targets=["mnist"]))
    text = report_page(made.params, made.root).read_text()
    assert text.count("own:vgg16 at 0.125 times") == 2 and "data are those of" not in text


def test_figures_are_shown_in_one_scale(reported, page):
    """Single panels were as wide as two, and their letters twice as large."""
    scales = set()
    for name, width, height in re.findall(
        r'<img src="(figures/small/\S+)" alt="[^"]*" width="(\d+)" height="(\d+)"', page
    ):
        head = (reported.reports / name).read_text()[:1000]
        drawn = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
        scales |= {round(int(width) / float(drawn[1]), 2), round(int(height) / float(drawn[2]), 2)}
    assert scales and max(scales) - min(scales) <= 0.02


def test_a_figure_without_a_size_is_named(make, suite):
    made = make(small=suite("Small", grid={"granularities": ["channel"], "budgets": [0.5, 0.1]}))
    path = made.reports / "figures" / "small" / "accuracy.svg"
    path.parent.mkdir(parents=True)
    path.write_text("<svg>")
    with pytest.raises(BenchError, match=r"accuracy\.svg: no SVG of a size in points; draw it again with: dapbench"):
        report_page(made.params, made.root)


def readme_at(made, block="old"):
    path = made.root / "README.md"
    path.write_text(f"# Title\n\n{readme.BEGIN}\n{block}\n{readme.END}\n\nafter\n")
    return path


def test_readme_block(make, suite):
    made = make(small=suite("Small", grid={"granularities": ["channel"], "budgets": [0.5, 0.1]}))
    path = readme_at(made)
    keep_every_rule(made, "small")
    assert not readme.check(path, made.params)
    assert readme.update(path, made.params)
    text = path.read_text()
    assert text.startswith("# Title\n\n<!-- results:begin -->\n![Small") and text.endswith(
        "<!-- results:end -->\n\nafter\n"
    )
    assert "(reports/figures/small/accuracy.png)" in text
    assert "DAP (init)" not in text
    assert readme.check(path, made.params)
    assert not readme.update(path, made.params)
    path.write_text(text.replace("±", "+-", 1))
    assert not readme.check(path, made.params)


def test_a_headline_that_breaks_a_rule_is_not_rendered(make, suite):
    made = make(small=suite("Small", grid={"granularities": ["channel"], "budgets": [0.5, 0.1]}))
    path = readme_at(made)
    readme.update(path, made.params)
    text = path.read_text()
    assert "**Small** is no headline: it breaks rules of the protocol." in text
    assert "- budgets in parameters and in MACs: budgets in params\n" in text
    assert "accuracy.png" not in text and "| method |" not in text, "neither figure nor table"


def test_readme_without_markers(reported, tmp_path):
    path = tmp_path / "README.md"
    with pytest.raises(BenchError, match="cannot be read"):
        readme.update(path, reported.params)
    path.write_text(f"{readme.END} {readme.BEGIN}")
    with pytest.raises(BenchError, match=r"no results block; add the lines <!-- results:begin -->"):
        readme.check(path, reported.params)


def test_plotting_is_imported_late():
    code = "import sys, benchmark.report, benchmark.analysis, benchmark.report.readme; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "pandas", "seaborn", "torch", "jinja2", "scipy.stats"} & set(loaded)


def test_a_suite_of_the_dense_control_alone_has_a_page(make, suite):
    """As `dapbench run --method dense` leaves it; with one weights mode and with several."""
    one = {"transfer": {"weights": ["fresh"], "shots": [5]}}
    made = make(several=suite("Several", methods=["dense"]), one=suite("One", methods=["dense"], **one))
    for name in ("several", "one"):
        report_suite(made.params, name, made.root)
    report_page(made.params, made.root)
    assert "Several" in (made.reports / "index.html").read_text()
