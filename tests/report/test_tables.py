import csv
import re

import pytest

from benchmark.analysis import read_summary
from benchmark.analysis.searches import read_search
from benchmark.errors import BenchError
from benchmark.report import render, report_suite
from benchmark.report.accuracy_table import accuracy_table
from benchmark.report.comparisons import rivals
from benchmark.report.labels import NBSP, label, p_text, percent, percents, variant_label
from benchmark.report.missing_rows import absent
from benchmark.report.view import View


@pytest.fixture(scope="module")
def view(reported):
    return View(read_summary(reported.root, "small"))


def text_of(reported, name):
    return (reported.reports / "tables" / "small" / name).read_text()


def records_of(reported, name):
    return list(csv.DictReader(text_of(reported, name).splitlines()))


def hand_made(by_seed):
    """A view with one budget, whose methods have the given accuracies by seed."""
    axes = {
        "granularities": ["channel"],
        "methods": [{"method": m, "variants": {"channel": [""]}} for m in by_seed],
        "weights": ["fresh"],
        "targets": ["t"],
        "cost": "params",
        "budgets": [0.1],
        "shots": {"t": [5]},
        "seeds": [0, 1, 2],
        "draws": {"t": 1},
    }
    where = {"granularity": "channel", "variant": "", "weights": "fresh", "target": "t", "shots": 5}
    cells = [
        {**where, "method": m, "budget": 0.1, "accuracy": sum(v) / 3, "half": 0.0123, "by_seed": v}
        for m, v in by_seed.items()
    ]
    return View(
        {
            "suite": "s",
            "axes": axes,
            "slice": {"cost": "params", "measure": "finetune"},
            "headline": {"weights": "fresh", "shots": 5, "target": "t"},
            "floors": [],
            "cells": cells,
            "tests": [],
            "data": {},
            "areas": [],
            "missing": [],
        }
    )


def test_marks_by_hand():
    view = hand_made({"dap": [0.9, 0.8, 0.7], "uniform": [0.85, 0.82, 0.68], "random": [0.5, 0.4, 0.31]})
    found = accuracy_table(view, "t", "channel", "fresh", 5, view.entries("channel"))
    lines = render.markdown(found.table).splitlines()
    assert lines[2] == f"| DAP | **80.0{NBSP}±{NBSP}1.2** | – |"
    assert lines[3] == f"| uniform width | 78.3{NBSP}±{NBSP}1.2{NBSP}† | – |"
    assert lines[4] == f"| random | 40.3{NBSP}±{NBSP}1.2 | – |"


def test_percents():
    assert (percents(0.8124), percents(0.8124, 0.0123)) == ("81.2", f"81.2{NBSP}±{NBSP}1.2")


def test_labels():
    assert label("dap", "init") == "DAP (init)"
    assert label("uniform") == "uniform width"
    assert label("my_own_pruner", "fast_one") == "my own pruner (fast one)"
    assert variant_label("") == "default"
    assert [percent(b) for b in (0.05, 0.005, 0.255)] == [f"5{NBSP}%", f"0.5{NBSP}%", f"25.5{NBSP}%"]


def test_main_md_is_the_summary(reported, view):
    text = text_of(reported, "main.md")
    cell = view.cell("weight", "dap", "", "fresh", "digits-5-9", 0.1, view.headline_shots)
    weight = text[text.index("## weight pruning") :]
    line = next(line for line in weight.splitlines() if line.startswith("| DAP |"))
    assert f"{100 * cell['accuracy']:.1f}{NBSP}±{NBSP}{100 * cell['half']:.1f}" in line.split("|")[3]
    dense = view.dense("channel", "fresh", "digits-5-9", view.headline_shots)
    assert f"Dense (100{NBSP}%): {100 * dense['accuracy']:.1f}{NBSP}±" in text
    assert text.count("| method |") == 2
    assert "uniform width, my pruner: no rows with weights inherit, channel and weight pruning" in text
    for name in re.findall(r"`([a-z]+\.(?:md|csv|tex))`", text):
        assert (reported.reports / "tables" / "small" / name).exists(), name


def test_markdown_tables_are_rectangular(reported):
    for name in ("main.md", "full.md", "areas.md"):
        blocks = re.findall(r"(?:^\|.*\n)+", text_of(reported, name), re.MULTILINE)
        assert blocks
        for block in blocks:
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_full_md_has_every_mode_and_shot(reported):
    headings = re.findall("^## (.*)$", text_of(reported, "full.md"), re.MULTILINE)
    assert len(headings) == 3 * 2 * 2
    assert "weights inherit, weight pruning, 1 shot per class" in headings


def test_latex_is_balanced(reported):
    text = text_of(reported, "main.tex")
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 2
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in rows} == {4}
    assert r"\textbf{" in text and r"\toprule" in text
    assert not re.search(r"(?<!\\)[%_#](?! Made)", re.sub(r"\\label\{.*?\}", "", text).removeprefix("%"))


def test_csv_files(reported, view):
    fresh = records_of(reported, "accuracy-fresh.csv")
    assert len(fresh) == sum(cell["weights"] == "fresh" for cell in view.summary["cells"])
    record = next(r for r in fresh if (r["method"], r["variant"], r["budget"], r["shots"]) == ("dap", "", "0.1", "5"))
    cell = view.cell("channel", "dap", "", "fresh", "digits-5-9", 0.1, 5)
    assert float(record["accuracy"]) == cell["accuracy"] and float(record["speedup"]) == cell["speedup"]
    assert "by_seed" not in record
    assert len(records_of(reported, "tests.csv")) == len(view.summary["tests"])
    areas = records_of(reported, "areas.csv")
    of_sets = {"all": view.summary["areas"], "small": view.summary["small_areas"]}
    assert [(r["budgets"], float(r["accuracy"])) for r in areas] == [
        (name, area["accuracy"]) for name, found in of_sets.items() for area in found
    ]
    assert len(of_sets["all"]) == len(of_sets["small"]) > 0
    assert len(records_of(reported, "gaps.csv")) == len(view.summary["gaps"])
    layer = next(r for r in records_of(reported, "architectures.csv") if r["method"] == "dap")
    assert float(layer["kept_min"]) <= float(layer["kept"]) <= float(layer["kept_max"]) <= float(layer["size"])
    assert layer["seeds"] == "3"


def test_main_csv_is_wide(reported, view):
    records = records_of(reported, "main.csv")
    assert len(records) == 2 * 2 * 5
    dense = records[0]
    assert dense["method"] == "dense" and dense["10%"] == ""
    assert float(dense["100%"]) == pytest.approx(
        100 * view.dense("channel", "fresh", "digits-5-9", 1)["accuracy"], abs=0.005
    )


def test_rivals_are_the_area_tests(view):
    found = rivals(view)
    assert [row[:2] for row in found.texts] == [
        [g, m] for g in ("channel", "weight") for m in ("uniform width", "my pruner")
    ]
    assert all(row[column][0] in "+−" for row in found.texts for column in (2, 4))


def difference(method, measure, value, half, p, **changes):
    where = {"granularity": "channel", "method": method, "variant": "", "weights": "fresh", "target": "t", "shots": 5}
    test = {"measure": measure, "family": "methods", "difference": value, "half": half, "p_holm": p}
    return where | test | changes


def test_rivals_over_all_and_over_small_budgets_by_hand():
    view = hand_made({"dap": [0.9, 0.9, 0.9], "uniform": [0.8, 0.8, 0.8], "random": [0.5, 0.5, 0.5]})
    view.summary["tests"] = [
        difference("random", "accuracy", 0.4, 0.1, 0.5, budget=0.1),
        difference("random", "area", 0.3, 0.02, 0.0004),
        difference("uniform", "area", 0.01, None, None),
        difference("uniform", "area", 0.9, 0.1, 0.1, shots=1),
        difference("dap", "area", 0.9, 0.1, 0.1, variant="init", family="variants"),
        difference("random", "small area", -0.0123, 0.004, 0.0123),
    ]
    assert render.markdown(rivals(view)).replace(NBSP, " ").splitlines() == [
        "| pruning | rival | DAP minus rival, all budgets | p (Holm) | DAP minus rival, 10 % and less | p (Holm) |",
        "|:--|:--|--:|--:|--:|--:|",
        "| channel | uniform width | +1.0 | – | – | – |",
        "| channel | random | +30.0 ± 2.0 | < 0.001 | −1.2 ± 0.4 | 0.012 |",
    ]
    view.summary["tests"] = [difference("random", "area", 0.3, 0.02, 0.0004)]
    assert render.markdown(rivals(view)).replace(NBSP, " ").splitlines() == [
        "| pruning | rival | DAP minus rival, all budgets | p (Holm) |",
        "|:--|:--|--:|--:|",
        "| channel | random | +30.0 ± 2.0 | < 0.001 |",
    ]
    view.summary["tests"] = [difference("random", "accuracy", 0.4, 0.1, 0.5, budget=0.1)]
    assert not rivals(view).rows


def test_p_text():
    assert [p_text(p) for p in (0.0004, 0.0123, 0.2345, 1.0)] == [f"<{NBSP}0.001", "0.012", "0.23", "1.00"]


def test_absent_counts_holes(view):
    hole = {
        "granularity": "channel",
        "method": "dap",
        "variant": "init",
        "weights": "fresh",
        "absent": 3,
        "expected": 12,
    }
    summary = {**view.summary, "missing": [{**hole, "cells": [{}]}]}
    assert absent(View(summary)) == ["DAP (init), channel pruning, weights fresh: 3 of 12 rows are absent."]


def test_bad_input(reported, tmp_path):
    with pytest.raises(BenchError, match="unknown suite 'smal'; did you mean 'small'"):
        report_suite(reported.params, "smal", reported.root)
    with pytest.raises(BenchError, match="no such file"):
        report_suite(reported.params, "small", tmp_path)
    path = tmp_path / "dap.search.json"
    path.write_text('{"schema": 2}')
    with pytest.raises(BenchError, match="expected an object of schema 1"):
        read_search(path)


def test_below_three_seeds_the_page_has_points_only_and_says_why(make, suite):
    made = make(two=suite("Two", grid={"granularities": ["channel"], "budgets": [0.5, 0.1], "seeds": [0, 1]}))
    report_suite(made.params, "two", made.root)
    text = (made.reports / "tables" / "two" / "main.md").read_text()
    assert "2 search seeds: means only, no intervals and no tests." in text
    assert not [line for line in text.splitlines() if line.startswith("|") and "±" in line]
    assert {test["p"] for test in read_summary(made.root, "two")["tests"]} == {None}
