"""What a suite says in the end: its audit, primary endpoints, the best rule, equal cost, ranks, where the noise is."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.analysis.areas import MEASURES
from benchmark.analysis.conventions import REFERENCE
from benchmark.analysis.equal_cost import OTHER
from benchmark.report import render
from benchmark.report.comparisons import BUDGETS
from benchmark.report.labels import COSTS, MINUS, NBSP, label, listing, percent, percents, plural, points
from benchmark.report.table import Cell, Column, Table, differences, p_values, words
from benchmark.report.view import Record, View

NAME = label(REFERENCE)


@dataclass(frozen=True)
class Section:
    """A table of the verdict; `note` says what it shows."""

    title: str
    note: str
    table: Table


def sections(view: View) -> list[Section]:
    """Return the tables of the verdict that have rows, in reading order."""
    every: list[Callable[[View], Section]] = [primary, best_rule, equal_cost, ranks, pairing, variances]
    return [found for made in every if (found := made(view)).table.rows]


def broken_rules(view: View) -> list[str]:
    """Return a line for every rule of the protocol that the suite does not keep."""
    return [f"{found['rule']}: {found['detail']}" for found in view.summary["audit"] if not found["passed"]]


def audit_sentence(view: View) -> str:
    """Say how many rules of the protocol the suite keeps."""
    count, wrong = len(view.summary["audit"]), len(broken_rules(view))
    return f"This suite keeps {count - wrong} of the {count} rules of the protocol that can be checked from files."


def audit(view: View) -> Table:
    """Return every rule of the protocol, whether the suite keeps it, and what was found."""
    kept = words("kept", lambda passed: "yes" if passed else Cell("no", "best"))
    found = [[finding["rule"], finding["passed"], finding["detail"]] for finding in view.summary.get("audit", [])]
    return Table([words("rule"), kept, words("found")], found)


def legend(view: View) -> str:
    """Say what the budgets and accuracies of the verdict are."""
    said = f"Budgets are shares of {COSTS[view.cost]}, accuracies are those of the measure {view.measure}."
    return f"{said} {view.too_few}".strip()


def markdown(view: View) -> str:
    """Return the verdict as Markdown, without its title."""
    parts = []
    if (rules := audit(view)).rows:
        parts += ["## Audit", render.markdown(rules)]
    for found in sections(view):
        parts += [f"## {found.title}", render.markdown(found.table), found.note]
    return "\n\n".join(parts)


def primary(view: View) -> Section:
    """Return the primary endpoints; everything beside them is exploratory."""
    rows = [[contrast(r), ", ".join(where(r)), r, r, r] for r in view.summary["primary"]]
    note = (
        "Written in params.yaml before the first row existed. Points, one number per seed, paired; the joint intervals "
        f"hold together with 95{NBSP}% (Bonferroni), p after Holm's correction over these endpoints. Every other "
        "comparison of this suite is exploratory."
    )
    intervals = [differences(f"difference, 95{NBSP}% interval"), differences("joint interval", "joint_half")]
    return Section("Primary endpoints", note, Table([words("contrast"), words("where"), *intervals, p_values()], rows))


def best_rule(view: View) -> Section:
    """Return the reference minus the best search-free rule by budget, a column per number of shots."""
    records = {(r["granularity"], r["measure"], r["budget"], r["shots"]): r for r in view.summary["best_rule"]}
    every_shots = sorted({shots for *_, shots in records})
    names = {"accuracy": "", **{measure: f"area, {BUDGETS[name]}" for name, measure in MEASURES.items()}}
    rows = []
    places = sorted(dict.fromkeys(place[:3] for place in records), key=lambda place: view.granularities.index(place[0]))
    for granularity, measure, budget in places:
        found = [records.get((granularity, measure, budget, shots)) for shots in every_shots]
        closest = records.get((granularity, measure, budget, view.headline_shots))
        name = percent(budget) if budget else names[measure]
        rows.append([granularity, name, closest and label(**closest["best"]), *found])
    note = (
        f"{NAME} minus the rule that is closest to it, in points, on {view.headline_target}, weights mode "
        f"{view.headline_weights}. Rules need neither search nor pretraining. In brackets: the range in which the "
        f"difference from the best rule lies, from intervals that hold with 95{NBSP}% for all rules and budgets of a "
        f"column together (areas apart). {NAME} is ahead of every rule where the lower end is above zero. The closest "
        f"rule is that at {plural(view.headline_shots, 'shot')}."
    )
    columns = [Column(plural(shots, "shot"), format=_range) for shots in every_shots]
    table = Table([words("pruning"), words("budget"), words("closest rule"), *columns], rows)
    return Section(f"{NAME} against the best search-free rule", note, table)


def equal_cost(view: View) -> Section:
    """Return the reference's areas minus each rival's over the other cost, a column per number of shots."""
    place = (view.headline_weights, view.headline_target)
    records = {
        (r["granularity"], r["budgets"], r["method"], r["variant"], r["shots"]): r
        for r in view.summary["equal_cost"]
        if (r["weights"], r["target"]) == place
    }
    every_shots = sorted({key[-1] for key in records})
    rows = []
    places = sorted(dict.fromkeys(key[:4] for key in records), key=lambda place: view.granularities.index(place[0]))
    for granularity, budgets, method, variant in places:
        found = [records.get((granularity, budgets, method, variant, shots)) for shots in every_shots]
        rows.append([granularity, BUDGETS[budgets], label(method, variant), *found])
    cost = COSTS[OTHER[view.cost]]
    note = (
        f"Area of {NAME} minus that of the rival in points over the logarithm of {cost}, within a seed over the range "
        f"that both reach, on {view.headline_target}, weights mode {view.headline_weights}; paired by seed, ± half "
        f"width of the 95{NBSP}% interval."
    )
    columns = [differences(plural(shots, "shot")) for shots in every_shots]
    return Section(
        f"At equal {cost}", note, Table([words("pruning"), words("budgets"), words("rival"), *columns], rows)
    )


def ranks(view: View) -> Section:
    """Return the mean ranks of the rivals."""
    rows = [[r["granularity"], label(r["method"], r["variant"]), r, r["apart"]] for r in view.summary["ranks"]]
    apart = Column("", format=lambda apart: "" if apart else "not told apart from the best")
    note = (
        "Mean rank over all targets, shots and budgets of default variants and all variants of rules, with every "
        f"accuracy, weights mode {view.headline_weights}, 1 is the best; in brackets the 95{NBSP}% interval over "
        "resamples of seeds, from five seeds on. Places share seeds and budgets, so the rank says less than their "
        "number suggests."
    )
    columns = [words("pruning"), words("method"), Column("rank", format=_rank), apart]
    return Section("Ranks", note, Table(columns, rows))


def pairing(view: View) -> Section:
    """Return what pairing by seed is worth."""
    rows = [[r["granularity"], r["method"], r["correlation"], r["variance"]] for r in view.summary["pairing"]]
    note = (
        f"Correlation of a method's accuracies with {NAME}'s over seeds, pooled over budgets, {view.setting}, and the "
        "variance of paired differences over that of unpaired ones: below 1 pairing helps, above it harms."
    )
    numbers = [Column(head, format=lambda x: f"{x:.2f}".replace("-", MINUS)) for head in ("correlation", "variance")]
    table = Table([words("pruning"), words("method", label), *numbers], rows)
    return Section("What pairing by seed is worth", note, table)


def variances(view: View) -> Section:
    """Return where the variance between seeds comes from."""
    parts = ("episodes", "retrainings", "seeds")
    rows = [
        [r["granularity"], r["target"], r["method"], r["sd"], *(r[part] for part in parts)]
        for r in view.summary["variances"]
    ]
    note = (
        f"Standard deviation of one seed's accuracy in points at {plural(view.headline_shots, 'shot')}, averaged as a "
        "variance over budgets, and the parts of its square. A dash: that part is within the seeds' own. More "
        "episodes lower the first part, more retrainings the second, only more seeds the third."
    )
    shares = [Column(part, format=lambda share: percent(round(share, 2))) for part in parts]
    names = [words("pruning"), words("target"), words("method", label)]
    table = Table([*names, Column("s.d.", format=percents), *shares], rows)
    return Section("Where the noise comes from", note, table)


def contrast(record: Record) -> str:
    """Return what an endpoint compares, "DAP − uniform width"."""
    return f" {MINUS} ".join(label(*record[side].split("+", 1)) for side in ("first", "second"))


def where(record: Record) -> list[str]:
    """Return the parts of where an endpoint compares."""
    return [
        record["granularity"],
        f"{listing([percent(budget) for budget in record['budgets']])} of {COSTS[record['cost']]}",
        f"weights {record['weights']}",
        record["measure"],
        "mean over targets" if record["targets"] == "mean" else listing(record["targets"]),
        f"{listing([str(shots) for shots in record['shots']])} shots",
    ]


def _range(record: Record) -> str:
    text = points(record["difference"], None)
    if record["low"] is None:
        return text
    return f"{text} [{points(record['low'], None)}, {points(record['high'], None)}]"


def _rank(record: Record) -> str:
    text = f"{record['rank']:.2f}"
    return text if record["low"] is None else f"{text} [{record['low']:.2f}, {record['high']:.2f}]"
