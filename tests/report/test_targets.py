"""The report of a suite with several targets, tuned learning rates and an arm; its figures are tested elsewhere."""

import csv
import re
import shutil
from types import SimpleNamespace

import pytest
from synthetic_results import keep_every_rule

from benchmark.analysis import read_summary
from benchmark.analysis.groups import OVERALL
from benchmark.report import readme, report_suite
from benchmark.report.comparisons import gaps, rivals
from benchmark.report.labels import NBSP, points
from benchmark.report.protocol import protocol, task
from benchmark.report.suites import in_order
from benchmark.report.view import View


@pytest.fixture(scope="module")
def view(across):
    return View(read_summary(across.root, "fashion"))


@pytest.fixture(scope="module")
def page(across):
    return (across.reports / "index.html").read_text()


def text_of(across, name, suite="fashion"):
    return (across.reports / "tables" / suite / name).read_text()


def records_of(across, name):
    return list(csv.DictReader(text_of(across, name).splitlines()))


def headings(text):
    return re.findall("^## (.*)$", text, re.MULTILINE)


def test_main_md_has_the_mean_first_then_every_target_that_has_the_shots(across, view):
    found = headings(text_of(across, "main.md"))
    tables = [f"{t}, {g} pruning" for t in [OVERALL, *view.targets] for g in view.granularities]
    assert found[: len(tables)] == tables
    cell = view.cell("channel", "dap", "", "fresh", OVERALL, 0.1, 5)
    line = next(line for line in text_of(across, "main.md").splitlines() if line.startswith("| DAP |"))
    assert f"{100 * cell['accuracy']:.1f}{NBSP}±{NBSP}{100 * cell['half']:.1f}" in line.split("|")[3]
    assert "mean over the targets mnist, sign-language, omniglot-5-way and omniglot-flat" in text_of(across, "main.md")


def test_full_md_has_the_shots_of_each_target_only(across):
    found = [heading for heading in headings(text_of(across, "full.md")) if "fresh" in heading and "channel" in heading]
    assert len(found) == 3 + 4 + 4 + 3 + 1 + 1, found
    assert "weights fresh, mean over targets, channel pruning, 20 shots per class" in found
    assert not any("omniglot-flat" in heading and "20 shots" in heading for heading in found)


def test_tables_without_rows_of_a_kind_are_not_written(across):
    names = {path.name for path in (across.reports / "tables" / "fashion").iterdir()}
    assert {
        "arms.md",
        "arms.csv",
        "twice.md",
        "twice.csv",
        "tuning.md",
        "tuning.csv",
        "gaps.csv",
        "accuracy-inherit.csv",
    } <= names
    assert "accuracy-scratch.csv" not in names
    plain = {path.name for path in (across.reports / "tables" / "small").iterdir()}
    assert not {"arms.md", "arms.csv", "twice.md", "twice.csv", "tuning.md", "tuning.csv"} & plain
    for suite, found in (("fashion", names), ("small", plain)):
        listed = re.findall(r"^- `([^`]+)`", text_of(across, "main.md", suite), re.MULTILINE)
        assert set(listed) == found - {"main.md"}


def test_an_old_table_does_not_survive(make, suite):
    made = make(one=suite("One", grid={"granularities": ["channel"], "seeds": [0]}))
    old = made.reports / "tables" / "one" / "twice.md"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    report_suite(made.params, "one", made.root)
    assert not old.exists() and (old.parent / "main.md").exists()


def test_twice_table_and_sentence_are_the_summary(across, view, page):
    records = view.summary["twice"]
    assert [(r["target"], r["shots"]) for r in records[:3]] == [("", None), ("mnist", 1), ("mnist", 5)]
    assert (OVERALL, 5) in [(r["target"], r["shots"]) for r in records]
    table = text_of(across, "twice.md")
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(records) == len(records_of(across, "twice.csv"))
    gains = [points(r["difference"], r["half"]) for r in records]
    assert all(row.endswith(f" {gain} |") for row, gain in zip(rows, gains, strict=True))
    mean = next(r for r in records if (r["target"], r["shots"]) == (OVERALL, 5))
    told = (
        f"changes by {gains[0]} points on the source and by {points(mean['difference'], mean['half'])} points on "
        "average over the targets at 5 shots per class"
    )
    assert told.replace(" %", f"{NBSP}%") in page
    assert told in text_of(across, "main.md")
    assert "twice as many" not in text_of(across, "main.md", "small")


def test_arms_table_and_page_are_the_summary(across, view, page):
    records, text = view.summary["arms"], text_of(across, "arms.md")
    # methods x (3 budgets and the area) x arms x granularities
    assert len(records) == len(records_of(across, "arms.csv")) == len(view.methods) * 4 * 4 * 2
    assert headings(text)[:3] == ["Verdicts", "shuffled, channel pruning", "inverted, channel pruning"]
    for record in records:
        change = points(record["difference"], record["half"])
        assert f"| {change} |" in text
        if record["verdict"] is not None:
            assert record["verdict"] in text
    assert text.count("| area |") == len(view.methods) * 4 * 2
    assert page.count('id="fashion-arms"') == 1 and 'id="small-arms"' not in page
    assert "Arm shuffled: the units of every architecture are permuted" in page


def test_points_have_a_sign():
    assert points(0.0123, 0.004) == f"+1.2{NBSP}±{NBSP}0.4"
    assert points(-0.0123, None) == "\u22121.2"


def test_tuning_table_shows_what_was_tried_and_chosen(across, view, page):
    rates = view.summary["tuning"]
    found = records_of(across, "tuning.csv")
    assert [(r["granularity"], r["budget"], r["kind"], r["lr"]) for r in found] == [
        (r["granularity"], str(r["budget"]), r["kind"], str(r["lr"])) for r in rates
    ]
    for record, rate in zip(found, rates, strict=True):
        for tried in rate["tried"]:
            assert float(record[f"accuracy at {tried['lr']:g}"]) == tried["accuracy"]
    text = text_of(across, "tuning.md")
    assert headings(text) == ["Training on the source", "Fine-tuning on few examples"]
    lines = [line for line in text.splitlines() if re.match(r"\| (large|channel|weight)", line)]
    assert len(lines) == len(rates) == 2 * (1 + 2 * 3)
    assert all(line.count("**") == 2 for line in lines)
    first = rates[0]
    columns = ["0.05", "0.1", "0.2"]
    assert lines[0].split("|")[2 + columns.index(f"{first['lr']:g}")].strip().startswith("**")
    assert page.count("<caption>Learning rates</caption>") == 1


def test_comparisons_and_gaps_are_those_of_the_mean(view):
    assert [row[0] for row in rivals(view).texts] == ["channel"] * 2 + ["weight"] * 2
    test = next(t for t in view.summary["tests"] if t["target"] == OVERALL and t["measure"] == "area")
    assert test["shots"] == 1
    shown = rivals(view).texts[0]
    for column, measure in ((2, "area"), (4, "small area")):
        difference = next(
            t["difference"]
            for t in view.summary["tests"]
            if (t["target"], t["shots"], t["measure"], t["weights"]) == (OVERALL, 5, measure, "fresh")
        )
        assert shown[column].startswith(points(difference, None))
    assert {row[1] for row in gaps(view).texts} == {"DAP"}


def test_latex_labels_have_no_spaces(across):
    text = text_of(across, "main.tex")
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(labels) == 2 * 5 and len(set(labels)) == len(labels)
    assert not any(" " in label for label in labels)
    assert text.count("20 shots per class") == 2 * 3, "the mean and the two targets that have them"


def test_page_shows_the_headline_suite_first_with_contents(across, page):
    assert in_order(across.params) == ["fashion", "small"]
    assert page.index('<section class="suite" id="fashion">') < page.index('<section class="suite" id="small">')
    contents = page[page.index("<nav") : page.index("</nav>")]
    targets = re.findall(r'href="#([^"]+)"', contents)
    assert targets[0] == "fashion" and "small" in targets and "fashion-figures" in targets
    assert all(f'id="{target}"' in page for target in targets)
    assert [page.count(f"<caption>{t}, channel pruning</caption>") for t in ("mnist", "omniglot-flat")] == [1, 1]


def test_page_names_near_duplicates_per_target(page):
    assert "correlate by 0.99 or more" in page
    assert "<li>sign-language: 7 of 2,000 images, 1 of them equal pixel for pixel</li>" in page


def test_protocol_tells_what_holds_on_one_target_alone(across):
    text = " ".join([task(across.params.suites["fashion"]), *protocol(across.params, "fashion")])
    for part in (
        "On mnist: at most 40 test images per class.",
        "On sign-language: 1 draw.",
        "On omniglot-5-way: every draw is a task of its own, of 5 classes",
        "1, 5 and 10 shots per class; training examples from 10 images per class.",
        "On omniglot-flat: 5 shots per class; 1 draw; 30 steps of few-shot training; batches of 64 images.",
        "Variants chosen for this suite: DAP: none.",
        "learning rate chosen among 0.05, 0.1 and 0.2",
        "images mirrored at random, in bfloat16, only the new head is trained, a linear probe",
        "Each candidate is tried on 3 random architectures",
    ):
        assert part in text, part
    plain = " ".join([task(across.params.suites["small"]), *protocol(across.params, "small")])
    assert "On digits-5-9" not in plain and "chosen" not in plain and "scratch" in plain


def test_readme_shows_the_headline_suite_and_the_others_areas(across, tmp_path):
    shutil.copytree(across.reports / "analysis", tmp_path / "reports" / "analysis")
    keep_every_rule(SimpleNamespace(reports=tmp_path / "reports", root=tmp_path), "fashion")
    path = tmp_path / "README.md"
    path.write_text(f"{readme.BEGIN}\n{readme.END}\n")
    assert readme.update(path, across.params) and readme.check(path, across.params)
    text = path.read_text()
    assert "(reports/figures/fashion/accuracy.png)" in text
    assert (across.reports / "figures" / "fashion" / "accuracy.png").exists()
    assert re.findall(r"^\*(.*) pruning\*$", text, re.MULTILINE) == [f"{OVERALL}, channel", f"{OVERALL}, weight"]
    assert text.count("the dense control changes by") == 1
    small = View(read_summary(across.root, "small"))
    area = small.area("weight", "dap", "", "fresh", "digits-5-9", small.headline_shots)
    line = next(line for line in text.splitlines() if "reports/tables/small/main.md" in line and "| weight |" in line)
    assert line.startswith("| [Small](reports/tables/small/main.md) |")
    assert f"{100 * area['accuracy']:.1f}" in line
