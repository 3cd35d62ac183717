"""Figures of a suite in reading order, each with the claim it tests and what it shows."""

from dataclasses import dataclass

from benchmark.analysis.conventions import REFERENCE
from benchmark.report import studies
from benchmark.report.labels import COSTS, label, listing, percent, plural, unit
from benchmark.report.view import View

CLAIMS = {
    "C1": "sub-architectures are extracted from a given large model by gradients",
    "C2": "architectures of arbitrarily low complexity",
    "C3": "trained independently from the attached weights",
    "C4": "transferable: the architectures can be retrained to solve different tasks",
    "C5": "other pruners cannot disentangle architecture and weights",
    "C6": "complexity-penalised subset selection, solved by a two-temperature relaxation",
    "C7": "theoretical convergence guarantees",
}
MODES = {
    "fresh": "fresh (re-initialised and trained on the source)",
    "inherit": "inherit (the pruner's own weights)",
    "scratch": "scratch (re-initialised, without the source)",
}


@dataclass(frozen=True)
class Caption:
    """A figure's file name without ending, its title, the claims it tests and the text below it."""

    name: str
    title: str
    claims: tuple[str, ...]
    text: str


def captions(view: View) -> list[Caption]:
    """Return the caption of every figure that a suite can have."""
    return [
        _accuracy(view),
        _costs(view),
        *(_targets(view, granularity) for granularity in (view.granularities if view.several else [])),
        _variants(view),
        _weights(view),
        *(_architectures(granularity, ending) for granularity, ending in _endings(view)),
        *(_dynamics(granularity, ending) for granularity, ending in _endings(view)),
        _compute(view),
        _primary(view),
        _arms(view),
        *(_study(view, name) for name in studies.names(view)),
    ]


def _accuracy(view: View) -> Caption:
    return Caption(
        "accuracy",
        "Transfer accuracy against complexity",
        ("C4", "C2"),
        "Does an architecture still work when it is retrained on another task with few examples, down to "
        f"{percent(min(view.budgets))} of the large model? {_measured(view)}, {_mode(view)}, default variant of each "
        f"method; {_scale(view)}, points are set sideways by a few percent so that bars do not hide each other. "
        f"{_bars(view)}{_guessing(view)} Uniform width, the same share of every layer, is the rival to beat.",
    )


def _costs(view: View) -> Caption:
    return Caption(
        "costs",
        "The same accuracies over parameters and over MACs",
        ("C4", "C2"),
        f"Budgets limit {COSTS[view.cost]} only, so at one budget methods may differ in the other by a factor. "
        "Left: the cost that budgets are shares of; right: the other one; log scales. "
        f"{_setting(view)}, {_mode(view)}. {_bars(view)}{_guessing(view)}",
    )


def _targets(view: View, granularity: str) -> Caption:
    return Caption(
        f"accuracy-{granularity}",
        f"Transfer accuracy on every target, {granularity} pruning",
        ("C4", "C2"),
        f"Rows are targets, each with an accuracy axis of its own, columns are shots; {_mode(view)}, default variant "
        f"of each method; {_scale(view)}. {_bars(view)}{_guessing(view)} A panel is empty where a target lacks the "
        "number of shots.",
    )


def _variants(view: View) -> Caption:
    laws = control = ""
    if REFERENCE in view.methods and len(view.all_variants(REFERENCE, studied=False)) > 1:
        laws = f"For {label(REFERENCE)} the variants are weight laws: what the architecture is scored against. "
    if "random" in view.methods and "live" in view.all_variants("random"):
        control = (
            f" {label('random', 'live')} prunes at random among the weights that are read at all: only what a pruner "
            "gains over this control is owed to its ranking."
        )
    return Caption(
        "variants",
        "The variants of each method",
        ("C3", "C4"),
        f"{laws}{_setting(view)}, {_mode(view)}; {_scale(view)}. {_bars(view)} Each row has its own accuracy axis."
        f"{control}",
    )


def _weights(view: View) -> Caption:
    inherited = ""
    if {"fresh", "inherit"} <= set(view.weights):
        inherited = (
            " A gap between inherit and fresh is accuracy that sits in the weights, not in the architecture. A method "
            "without weights of its own has no inherit curve."
        )
    return Caption(
        "weights",
        "How much of the accuracy sits in the weights",
        ("C5", "C3"),
        f"The same architectures with different weights: {listing([MODES[m] for m in MODES if m in view.weights])}."
        f"{inherited} {_setting(view)}; {_scale(view)}. Dashed: the dense control in the same mode.",
    )


def _endings(view: View) -> list[tuple[str, str]]:
    """Return every granularity with what the names of its figures end in."""
    return [(granularity, f"-{granularity}" if index else "") for index, granularity in enumerate(view.granularities)]


def _architectures(granularity: str, ending: str) -> Caption:
    return Caption(
        f"architectures{ending}",
        f"The architectures, {granularity} pruning",
        ("C1", "C2"),
        f"Share of {unit(granularity)} that each layer keeps at each budget, mean over search seeds, log colour scale.",
    )


def _dynamics(granularity: str, ending: str) -> Caption:
    return Caption(
        f"dynamics{ending}",
        f"{label('dap')}'s search, step by step, {granularity} pruning",
        ("C6", "C1"),
        "Held-out loss of the gated network (its gates are soft), its complexity (log scale, budgets dotted), "
        "the Lagrange multiplier, and the share of units whose relaxed gate lies between 0.05 and 0.95; a line "
        "per search seed, a column per weight law.",
    )


def _compute(view: View) -> Caption:
    return Caption(
        "compute",
        "Accuracy against total compute",
        ("C4",),
        "What an accuracy costs: pretraining (where a method needs it), search and retraining together. "
        f"{_setting(view)}, {_mode(view)}; larger markers are larger budgets. {_bars(view)}",
    )


def _primary(view: View) -> Caption:
    return Caption(
        "primary",
        "The primary endpoints",
        ("C4",),
        "What was to be tested was written down before the first row existed. Differences of accuracies, paired by "
        f"search seed. {_differences(view)} Filled: each endpoint by itself; open: all of them together (Bonferroni).",
    )


def _arms(view: View) -> Caption:
    return Caption(
        "arms",
        "The arms: one thing changed, the rest as in the grid",
        ("C3", "C5"),
        "Area under accuracy over log complexity in an arm minus that in the grid, default variants, fresh "
        f"weights, {view.setting}, paired by search seed. Left of zero: worse than in the grid. {_differences(view)}",
    )


def _study(view: View, name: str) -> Caption:
    question, method = studies.question(name), label(studies.method_of(view, name))
    beside = {
        "gap": "the accuracy of the relaxed network minus that of the discrete one it becomes, on held-out source "
        "images, mean over budgets",
        "undecided": "the share of units whose backward gate lies between 0.05 and 0.95 at the end of the search",
        "spread": "how much the width of a layer differs between search seeds, as its coefficient of variation, mean "
        "over layers and budgets (small: the same widths from every start)",
        "shared": "the share of kept units that two seeds have in common, above that of units drawn at random, as many "
        "per layer",
        "nested": "the share of an architecture's units that the next larger budget keeps too",
        "accuracy": f"accuracy at every budget, weights mode {view.headline_weights}; bars are 95 % intervals",
    }
    others = " Then: ".join(f"{beside[key]}." for key in question.beside)
    return Caption(
        f"study-{name}",
        f"The study {name} of {method}",
        question.claims,
        f"{question.text} Left: area under accuracy over log complexity of each variant minus that of {method}'s "
        f"default, {view.setting}, paired by search seed; left of zero is worse. Beside it: {others} "
        f"Filled: budgets of {studies.FEW}; open: all budgets. {_differences(view)}",
    )


def _differences(view: View) -> str:
    if view.too_few:
        return view.too_few
    return f"Lines: 95 % intervals over {plural(len(view.seeds), 'search seed')}."


def _measured(view: View) -> str:
    shots = f", {plural(view.headline_shots, 'shot')} per class" if view.several else ""
    return f"Test {view.measured}{shots}"


def _mode(view: View) -> str:
    return f"weights mode {view.headline_weights}"


def _setting(view: View) -> str:
    return view.setting[0].upper() + view.setting[1:]


def _scale(view: View) -> str:
    return f"x: achieved share of {COSTS[view.cost]}, log scale; ticks are the budgets"


def _bars(view: View) -> str:
    if view.too_few:
        return f"{view.too_few} Grey: the dense control."
    seeds = plural(len(view.seeds), "search seed")
    return f"Bars: 95 % intervals over {seeds}. Grey: the dense control and its interval."


def _guessing(view: View) -> str:
    known = view.chance(view.headline_target, view.headline_shots)
    return " Dotted: the accuracy of guessing." if known else ""
