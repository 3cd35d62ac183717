from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest
from hand_made import params_of, row, with_primary

from benchmark.analysis import analyse_suite, read_summary
from benchmark.analysis.audit import RULES, audit, broken
from benchmark.analysis.rows import Row, write_results
from benchmark.config.params import Control, DatasetRef, ModelRef, Params
from benchmark.errors import BenchError
from benchmark.files import write_json

BUDGETS = [0.5, 0.2, 0.1, 0.05, 0.01]
RATES = [0.01, 0.02, 0.05, 0.1, 0.2]
ENDPOINT = {
    "contrast": ["dap", "uniform"],
    "shots": [5],
    "budgets": [0.1, 0.05, 0.01],
    "measure": "finetune",
    "cost": "params",
}


ACCURACIES = {"dense": 0.9, "uniform": 0.6, "random": 0.5, "magnitude": 0.4, "dap": 0.7}
IMAGES = 50  # that every network was retrained on


def provenance(**changes: Any) -> dict[str, Any]:
    known = {"device": "cpu", "machine": {"cpu": "one"}, "python": "3.11.7", "libraries": {"torch": "2.15.0"}}
    return known | {"data": {"source": "d", "targets": {"t": "d"}}} | changes


def with_others(params: Params, models: Mapping[str, Any]) -> Params:
    """Return parameters with more suites that run: the same with another large model, on another source."""
    hand = params.suites["hand"]
    data = hand.data.model_copy(update={"source": DatasetRef(name="glyphs:latin")})
    others = {name: hand.model_copy(update={"model": ModelRef(**ref), "data": data}) for name, ref in models.items()}
    run = params.run.model_copy(update={"suites": ["hand", *others]})
    return params.model_copy(update={"run": run, "suites": params.suites | others})


class Suite:
    """A suite that keeps every rule, of which a test changes one thing."""

    def __init__(self) -> None:
        self.grid: dict[str, Any] = {"budgets": BUDGETS, "costs": ["params", "macs"]}
        self.transfer: dict[str, Any] = {
            "weights": ["fresh", "scratch"],
            "draws": 10,
            "controls": list(get_args(Control)),
            "finetune": {"steps": 1, "batch": 1, "lr": 0.1},
        }
        self.methods: dict[str, Any] = {
            "dap": {"params": {"tau_low": 0.1, "tau_high": 1.0}},
            "random": {"variants": {"ratios": {"params": {"allocation": "ratios"}}}},
            "magnitude": {"variants": {"layerwise": {"params": {"scope": "layerwise"}}}},
        }
        self.primary = [ENDPOINT]
        self.floor = 0.3
        self.floors = ["nearest", "probe"]
        self.lr = 0.05
        self.doubled = 0.004
        self.data = {"t": {"count": 50, "classes": ["a", "b"]}}
        self.alike: dict[str, Any] | None = {"threshold": 0.99, "side": 8, "pairs": 0, "images": 0, "exact": 0}
        self.change_row: Callable[[Row], Row | None] = lambda found: found
        self.provenance = {method: provenance() for method in ACCURACIES}
        self.suites = {"other": {"name": "own:resnet20"}, "third": {"name": "own:resnet20"}}

    def params(self) -> Params:
        made = params_of(methods=list(ACCURACIES), grid=self.grid, transfer=self.transfer, method_settings=self.methods)
        return with_others(with_primary(made, *self.primary), self.suites)

    def rows(self, method: str) -> list[Row]:
        accuracy = ACCURACIES[method]
        found = [
            row(
                method,
                budget,
                seed,
                draw,
                accuracy + 0.01 * seed * (1 + (method == "dap")),
                variant=variant,
                weights=weights,
                cost=cost,
                train_flops=round(6 * IMAGES * 8000 * budget),
            )
            for variant in ("", *self.methods.get(method, {}).get("variants", {}))
            for budget in ([1.0] if method == "dense" else self.grid["budgets"])
            for cost in ("params", "macs")
            for weights in ("fresh", "scratch")
            for seed in (0, 1, 2)
            for draw in range(10)
        ]
        if method == "dense":
            more = {"arm": "twice", "source_accuracy": 0.9 + self.doubled}
            found += [r.model_copy(update=more) for r in found if r.weights == "fresh"]
        return [changed for one in found if (changed := self.change_row(one)) is not None]

    def audit(self, root: Path) -> list[dict[str, Any]]:
        folder = root / "reports" / "results" / "hand"
        for method, known in self.provenance.items():
            write_results(folder / f"{method}.json", self.rows(method), known)
        floors = [
            {"target": "t", "seed": s, "shots": 5, "measure": m, "episodes": 10, "accuracy": self.floor + 0.02 * s}
            for m in self.floors
            for s in (0, 1, 2)
        ]
        write_json(folder / "floors.json", {"schema": 1, "floors": floors, "chance": {}})
        known = {"name": "x", "digest": "d", "source": "s"}
        targets = {label: known | manifest for label, manifest in self.data.items()}
        source = known | {"count": 9, "classes": ["a"]}
        alike = {"near_duplicates": dict.fromkeys(targets, self.alike)}
        write_json(folder / "data.json", {"schema": 1, "source": source, "targets": targets} | alike)
        tried = [{"lr": lr, "accuracy": 0.5} for lr in RATES]
        rate = {"granularity": "channel", "budget": 0.1, "kind": "training", "lr": self.lr, "tried": tried}
        write_json(folder / "tuning.json", {"schema": 1, "rates": [rate]})
        findings: list[dict[str, Any]] = analyse_suite(self.params(), "hand", root)["audit"]
        return findings


def test_a_sound_suite_keeps_every_rule(tmp_path):
    found = Suite().audit(tmp_path)
    assert [finding["rule"] for finding in found] == list(RULES)
    assert broken(found) == []
    details = {finding["rule"]: finding["detail"] for finding in found}
    assert details["two temperatures in DAP's default"] == "forward 0.1, backward 1"
    # Dense minus floor: 0.60, 0.59 and 0.58 by seed.
    assert "+59.0 ± 2.5 points over probe on raw pixels" in details[next(rule for rule in RULES if "ahead" in rule)]


def lose(**where) -> Callable[[Row], Row | None]:
    return lambda found: None if all(getattr(found, name) == value for name, value in where.items()) else found


def change(update: dict[str, Any], **where) -> Callable[[Row], Row | None]:
    return lambda found: found.model_copy(update=update) if lose(**where)(found) is None else found


# What is changed, the words of the rule that it breaks (and no other), and of the detail.
BOTH = {"costs": ["params", "macs"]}
LARGE = {"primary": [ENDPOINT | {"budgets": [0.1]}]}
BREAKS: list[tuple[dict[str, Any], str, str]] = [
    ({"grid": BOTH | {"budgets": BUDGETS[:4]}} | LARGE, "budgets over two", "4 b"),
    ({"grid": BOTH | {"budgets": [0.5, 0.2, 0.1, 0.05, 0.02]}} | LARGE, "budgets over two", "0.02"),
    ({"grid": {"budgets": BUDGETS, "costs": ["params"]}}, "in parameters and in MACs", "budgets in params"),
    (
        {"change_row": lose(method="dense", weights="scratch")},
        "also in scratch",
        "no dense control: channel, weights scratch",
    ),
    ({"floors": ["nearest"]}, "floors on every target", "probe on t at 5 shots (1 in all)"),
    ({"data": {}}, "floors on every target", "guessing on t"),
    ({"floor": 0.91}, "ahead of raw pixels", "-2.0 ± 2.5 points"),
    ({"floor": 0.8999}, "ahead of raw pixels", "points over nearest"),
    (
        {"methods": {"dap": {"params": {"tau_low": 0.3, "tau_high": 0.3}}}},
        "two temperatures",
        "forward 0.3, backward 0.3",
    ),
    (
        {"change_row": change({"complexity": 0.101}, method="uniform", seed=1, budget=0.1)},
        "exceeded",
        "101 % of a budget (uniform at 0.1)",
    ),
    ({"lr": 0.2}, "learning rate", "of 1, 0 of fewer than 5 tried, 1 at the edge"),
    ({"lr": 0.01}, "learning rate", "1 at the edge"),
    ({"primary": []}, "primary endpoints", "0 named in params.yaml, 0 tested"),
    ({"transfer": {"draws": 9}}, "enough episodes", "finetune 9 (of 10)"),
    ({"change_row": lose(method="uniform", seed=1, budget=0.5, cost="macs")}, "rows are absent", "20 rows of uniform"),
    ({"doubled": 0.006}, "long enough", "+0.6 points on the source"),
    (
        {"transfer": {"controls": [c for c in get_args(Control) if c != "twice"]}},
        "long enough",
        "the control twice is not",
    ),
    (
        {"transfer": {"controls": [c for c in get_args(Control) if c != "inverted"]}},
        "compute controls",
        "lacks inverted",
    ),
    (
        {"provenance": {m: provenance(python="3.12.1" if m == "dap" else "3.11.7") for m in ACCURACIES}},
        "same libraries",
        "methods differ in python",
    ),
    ({"change_row": change({"episodes": 2}, method="uniform", draw=0)}, "same episodes", "uniform has other"),
    ({"change_row": change({"train_flops": 6 * 51 * 800}, method="uniform", budget=0.1)}, "same recipe", "50 to 51"),
    ({"change_row": change({"pretrain_flops": 2}, method="dap")}, "same recipe", "different cost: 2"),
    ({"change_row": change({"search_flops": 0}, method="dap")}, "compute is charged", "dap has no search_flops"),
    (
        {"change_row": change({"pretrain_flops": 0}, method="magnitude", variant="")},
        "compute is charged",
        "magnitude has no pretrain_flops",
    ),
    (
        {"alike": {"threshold": 0.99, "side": 8, "pairs": 3, "images": 2, "exact": 2}},
        "is in the source",
        "t: 2 images",
    ),
    ({"alike": None}, "is in the source", "t: not looked for"),
    (
        {"provenance": {m: provenance(libraries={}) for m in ACCURACIES}},
        "machine are named",
        "dense lacks libraries; uniform",
    ),
    ({"suites": {"other": {"name": "own:vgg16"}}}, "several data sets", "2 pairs of 2 data sets and 1 large"),
    ({"suites": {}}, "several data sets", "1 pairs of 1 data sets and 1 large"),
    ({"data": {"t": {"count": 50, "classes": [*"abcdefghijklmnopqrst"]}}}, "Top-5", "Top-1 only on t (20 classes)"),
    ({"methods": {"random": {}}}, "random and magnitude", "random in 1, magnitude in 2"),
    (
        {"change_row": change({"complexity": 0.05}, method="uniform", budget=0.1)},
        "point of every method's curve",
        "two budgets gave one network: uniform (channel)",
    ),
]


@pytest.mark.parametrize(("changes", "rule", "detail"), BREAKS)
def test_each_rule_is_broken_by_what_breaks_it(tmp_path, changes, rule, detail):
    suite = Suite()
    for name, value in changes.items():
        setattr(suite, name, getattr(suite, name) | value if name in ("transfer", "methods") else value)
    (finding,) = broken(suite.audit(tmp_path))
    assert rule in finding["rule"] and detail in finding["detail"]


def test_many_classes_are_no_fault_where_top5_stands_beside_top1(tmp_path):
    suite = Suite()
    suite.data = {"t": {"count": 50, "classes": [*"abcdefghijklmnopqrst"]}}
    suite.change_row = lambda found: found.model_copy(update={"top5": 0.95})
    findings = suite.audit(tmp_path)
    assert broken(findings) == []
    assert [f["detail"] for f in findings if "Top-5" in f["rule"]] == ["Top-1 and Top-5 on t (20 classes)"]


def test_a_teachers_operations_are_no_longer_recipe(tmp_path):
    """Of a network of 8000 b MACs under a teacher of 8000; without the pretraining of the teacher it is not charged."""
    taught = {"params": {"allocation": "scores"}, "distil": "logits"}
    suite = Suite()
    suite.methods["random"]["variants"]["taught"] = taught
    under = suite.rows

    def rows(method):
        return [
            one.model_copy(update={"train_flops": one.train_flops + 2 * IMAGES * 8000})
            if one.variant == "taught" and one.weights == "fresh"
            else one
            for one in under(method)
        ]

    suite.rows = rows
    found = suite.audit(tmp_path)
    assert broken(found) == []
    details = {finding["rule"]: finding["detail"] for finding in found}
    assert "retrained on 50 images; under a teacher: random+taught" in details["the same recipe for all methods"]
    suite.change_row = change({"pretrain_flops": 0}, method="random", variant="taught")
    suite.rows = lambda method: [suite.change_row(one) for one in rows(method)]
    (finding,) = broken(suite.audit(tmp_path))
    assert (finding["rule"], finding["detail"]) == ("compute is charged", "random+taught has no pretrain_flops")


def test_too_few_seeds_break_what_needs_them(tmp_path):
    suite = Suite()
    suite.grid |= {"seeds": [0, 1]}
    words = [finding["rule"] for finding in broken(suite.audit(tmp_path))]
    assert words == [rule for rule in RULES if "seeds" in rule or "ahead" in rule or "tested" in rule]


def test_networks_of_unknown_size_break_a_rule(tmp_path):
    """Without a dense control nobody knows the ratios, and more than one rule is broken."""
    suite = Suite()
    suite.change_row = lose(method="dense", weights="fresh", arm="")
    findings = {finding["rule"]: finding["detail"] for finding in broken(suite.audit(tmp_path))}
    (detail,) = (detail for rule, detail in findings.items() if "compression" in rule)
    assert detail == "not known of uniform, random, random+ratios, magnitude, magnitude+layerwise, dap"


def test_several_kinds_of_processor_break_a_rule(tmp_path):
    suite = Suite()
    suite.audit(tmp_path)
    summary = read_summary(tmp_path, "hand")
    summary["provenance"]["dap"]["machine"]["cpu"] = "another"
    findings = [asdict(finding) for finding in audit(suite.params(), "hand", summary)]
    assert [finding["detail"] for finding in broken(findings) if "processor" in finding["rule"]] == ["one; another"]


def test_several_kinds_of_processor_are_not_even_analysed(tmp_path):
    suite = Suite()
    suite.provenance["dap"] = provenance(machine={"cpu": "another"})
    with pytest.raises(BenchError, match=r"results/hand: results of 2 kinds of processor cannot be paired"):
        suite.audit(tmp_path)


def test_every_rule_is_broken_somewhere_here():
    tested = [rule for _, rule, _ in BREAKS] + ["search seeds", "kind of processor", "compression"]
    assert all(any(words in rule for words in tested) for rule in RULES)
