"""What Blalock et al. 2020 (What is the State of Neural Network Pruning?, arXiv 2003.03033) ask of who reports pruning.

Of their nine recommendations two are among the rules of `benchmark.analysis.audit` (the dense control; operating points
over a range of ratios) and one among those of `benchmark.analysis.comparability` (identical libraries and data). The
others are here.
"""

from collections import defaultdict

from benchmark.analysis.audit_case import Case, Checked, named

FEWEST_PAIRS = 3  # of data set and large model
FEWEST_FORMS = 2  # of each kind of baseline: a method beside a variant, or two variants
BASELINES = ("random", "magnitude")
MANY_CLASSES = 20  # from here on Top-5 is reported, too
IDENTIFIED = ("machine", "libraries", "data")


def identified(case: Case) -> Checked:
    """Data, libraries and machine of every method's rows are named in a structured way."""
    lacking = [
        f"{method} lacks {name}"
        for method, provenance in case.main["provenance"].items()
        for name in IDENTIFIED
        if not provenance.get(name)
    ]
    return not lacking, f"{'; '.join(lacking)}" if lacking else f"{', '.join(IDENTIFIED)} of every method"


def pairs(case: Case) -> Checked:
    """Results on several data sets and several large models; all suites that are published together count."""
    found = {
        (ref.name, suite.model.name)
        for suite in (case.params.suites[name] for name in case.params.run.suites)
        for ref in (suite.data.source, *suite.data.targets)
    }
    sets, models = ({pair[place] for pair in found} for place in (0, 1))
    kept = len(found) >= FEWEST_PAIRS and min(len(sets), len(models)) > 1
    return kept, f"{len(found)} pairs of {len(sets)} data sets and {len(models)} large models in run.suites"


def sizes(case: Case) -> Checked:
    """The raw sizes of pruned networks, their compression ratio and theoretical speed-up."""
    lacking = [
        named(cell)
        for cell in case.compared()
        if not all(cell[name] for name in ("params", "macs", "compression", "speedup"))
    ]
    return not lacking, f"not known of {', '.join(dict.fromkeys(lacking))}" if lacking else "of every architecture"


def top_five(case: Case) -> Checked:
    """Top-5 beside Top-1 where a task has many classes."""
    classes = {target: round(1 / known["chance"]) for target, known in case.main["data"].items()}
    many = [f"{target} ({count} classes)" for target, count in classes.items() if count >= MANY_CLASSES]
    if not many:
        return True, f"no task of {MANY_CLASSES} classes or more"
    beside = all("top5" in cell for cell in case.compared())
    return beside, f"Top-1 {'and Top-5' if beside else 'only'} on {', '.join(many)}"


def baselines(case: Case) -> Checked:
    """Random and magnitude pruning as controls, each by more than one rule."""
    forms = {name: {cell["variant"] for cell in case.compared() if cell["method"] == name} for name in BASELINES}
    kept = all(len(found) >= FEWEST_FORMS for found in forms.values())
    return kept, ", ".join(f"{name} in {len(found)}" for name, found in forms.items())


def curves(case: Case) -> Checked:
    """A curve for every method: each budget that it was given is a point of its own.

    Not asked of variants, of which some are there to show what collapses.
    """
    points: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in case.compared():
        if not cell["variant"]:
            points[cell["granularity"], cell["method"]].append(cell["complexity"])
    merged = [f"{name} ({granularity})" for (granularity, name), at in points.items() if len(set(at)) < len(at)]
    return not merged, f"two budgets gave one network: {', '.join(merged)}" if merged else f"{len(points)} curves"


def spread(case: Case) -> Checked:
    """No mean without its interval."""
    without = [named(cell) for cell in case.compared() if cell["half"] is None]
    return not without, f"none for {', '.join(dict.fromkeys(without))}" if without else "for every mean of the headline"


RULES = {
    "data, libraries and machine are named": identified,
    "several data sets and large models": pairs,
    "raw parameters and MACs, compression and speed-up": sizes,
    f"Top-5 beside Top-1 from {MANY_CLASSES} classes on": top_five,
    "random and magnitude pruning, each in several forms": baselines,
    "every budget is a point of every method's curve": curves,
    "an interval over search seeds for every mean": spread,
}
