import csv

import pytest

from benchmark.analysis import analyse_suite, read_summary
from benchmark.files import write_json
from benchmark.report import report_suite, verdict
from benchmark.report.labels import MINUS, NBSP
from benchmark.report.verdict import broken_rules, markdown, sections
from benchmark.report.view import View


@pytest.fixture(scope="module")
def view(reported):
    return View(read_summary(reported.root, "small"))


def test_the_verdict_has_every_part_and_its_numbers(reported, view):
    text = (reported.reports / "tables" / "small" / "verdict.md").read_text()
    titles = ["Audit", "At equal MACs", "Ranks", "What pairing by seed is worth", "Where the noise comes from"]
    assert [line[3:] for line in text.splitlines() if line.startswith("## ") and "best" not in line] == titles
    assert len([line for line in text.splitlines() if "| **no** |" in line]) == len(broken_rules(view)) > 0
    found = next(r for r in view.summary["ranks"] if r["granularity"] == "weight")
    assert f"| {found['rank']:.2f} |" in text, "three seeds have no interval of ranks"
    for name in ("rules", "equal_cost", "ranks", "pairing", "variances"):
        path = reported.reports / "tables" / "small" / f"{name}.csv"
        records = list(csv.DictReader(path.read_text().splitlines()))
        assert len(records) == len(view.summary[name]) > 0
    assert not (reported.reports / "tables" / "small" / "primary.csv").exists(), "none is named"


def test_the_page_has_the_verdict_and_the_audit(reported, view):
    page = (reported.reports / "index.html").read_text()
    assert 'id="small-verdict">' in page and verdict.audit_sentence(view) in page
    assert "It is no headline, because it breaks the others." in page
    table = page[page.index("<h4>Audit</h4>") :].partition("</table>")[0]
    assert table.count('<th scope="row">') == len(view.summary["audit"])
    assert table.count('<td class="best">no') == len(broken_rules(view)) > 0
    assert "make reproduce SUITE=small" in page, "how its rows are computed again"
    for section in sections(view):
        assert f"<h4>{section.title}</h4>" in page
    assert "scratch" in page and "smallest difference that could be seen" in page


def with_records(view, **records):
    return View({**view.summary, "audit": [], **records})


def test_primary_endpoints_by_hand(view):
    endpoint = {"first": "dap", "second": "random+ratios", "granularity": "channel", "weights": "fresh", "cost": "macs"}
    endpoint |= {"measure": "nearest", "targets": "mean", "shots": [1, 5], "budgets": [0.1, 0.05]}
    tested = endpoint | {"difference": 0.0312, "half": 0.01, "joint_half": 0.0204, "p_holm": 0.0123}
    untested = endpoint | {"targets": ["mnist"], "difference": None, "half": None, "joint_half": None, "p_holm": None}
    found = verdict.primary(with_records(view, primary=[tested, untested])).table.texts
    where = f"channel, 10{NBSP}% and 5{NBSP}% of MACs, weights fresh, nearest, mean over targets, 1 and 5 shots"
    interval, joint = (f"+3.1{NBSP}±{NBSP}{half}" for half in ("1.0", "2.0"))
    assert found[0] == [f"DAP {MINUS} random (ratios)", where, interval, joint, "0.012"]
    assert found[1][1:] == [where.replace("mean over targets", "mnist"), None, None, None]


def test_the_best_rule_by_hand(view):
    record = {"granularity": "channel", "shots": 5, "measure": "accuracy", "budget": 0.1, "rules": 2, "seeds": 3}
    record |= {"best": {"method": "uniform", "variant": ""}, "difference": 0.05, "low": -0.012, "high": 0.09}
    few = record | {"shots": 1, "low": None, "high": None}
    area = record | {"measure": "small area", "budget": None}
    found = verdict.best_rule(with_records(view, best_rule=[record, few, area])).table
    assert found.heads == ["pruning", "budget", "closest rule", "1 shot", "5 shots"]
    assert found.texts == [
        ["channel", f"10{NBSP}%", "uniform width", "+5.0", f"+5.0 [{MINUS}1.2, +9.0]"],
        ["channel", f"area, 10{NBSP}% and less", "uniform width", None, f"+5.0 [{MINUS}1.2, +9.0]"],
    ]


def test_what_cannot_be_told_apart_has_no_value(view):
    record = {"granularity": "channel", "target": "t", "method": "dap", "sd": 0.0312}
    record |= {"episodes": 0.256, "retrainings": None, "seeds": 0.744}
    (row,) = verdict.variances(with_records(view, variances=[record])).table.texts
    assert row == ["channel", "t", "DAP", "3.1", f"26{NBSP}%", None, f"74{NBSP}%"]


def test_without_records_there_is_no_part(view):
    nothing = {name: [] for name in ("primary", "best_rule", "equal_cost", "ranks", "pairing", "variances")}
    assert sections(with_records(view, **nothing)) == [] and markdown(with_records(view, **nothing)) == ""


def test_floors_and_controls_are_in_every_table(make, suite):
    made = make(one=suite("One", grid={"granularities": ["channel"], "budgets": [0.5, 0.1]}))
    floors = [
        {"target": "digits-5-9", "seed": s, "shots": 5, "measure": m, "episodes": 20, "accuracy": a, "episode_sd": 0.1}
        for m, a in (("nearest", 0.31), ("probe", 0.32))
        for s in (0, 1, 2)
    ]
    write_json(made.reports / "results" / "one" / "floors.json", {"schema": 1, "floors": floors, "chance": {}})
    analyse_suite(made.params, "one", made.root)
    report_suite(made.params, "one", made.root)
    folder = made.reports / "tables" / "one"
    text, tex = (folder / "main.md").read_text(), (folder / "main.tex").read_text()
    assert f"; dense (100{NBSP}%), in scratch: " in text
    for name, value in (("raw pixels, nearest class mean", "31.0"), ("raw pixels, logistic regression", "32.0")):
        assert f"{name}: {value}{NBSP}±{NBSP}0.0" in text and name in tex
    assert "guessing: 10.0." in text and "| *smallest difference that could be seen* |" in text
