"""What a suite says in the end: its audit, primary endpoints, the best rule, equal cost, ranks, where the noise is."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.analysis.areas import MEASURES
from benchmark.analysis.equal_cost import OTHER
from benchmark.analysis.summary import REFERENCE
from benchmark.report.comparisons import BUDGETS, p_text
from benchmark.report.labels import COSTS, MINUS, NBSP, label, listing, percent, plural, points
from benchmark.report.markdown import table
from benchmark.report.view import Record, View

NAME = label(REFERENCE)


@dataclass(frozen=True)
class Section:
    """A table of the verdict: its first `words` columns hold words; `note` says what it shows."""

    title: str
    note: str
    heads: list[str]
    rows: list[list[str]]
    words: int = 2


def sections(view: View) -> list[Section]:
    """Return the tables of the verdict that have rows, in reading order."""
    every: list[Callable[[View], Section]] = [primary, best_rule, equal_cost, ranks, pairing, variances]
    return [found for made in every if (found := made(view)).rows]


def broken_rules(view: View) -> list[str]:
    """Return a line for every rule of the protocol that the suite does not keep."""
    return [f"{found['rule']}: {found['detail']}" for found in view.summary["audit"] if not found["passed"]]


def audit_sentence(view: View) -> str:
    """Say how many rules of the protocol the suite keeps."""
    count, wrong = len(view.summary["audit"]), len(broken_rules(view))
    return f"This suite keeps {count - wrong} of the {count} rules of the protocol that can be checked from files."


def legend(view: View) -> str:
    """Say what the budgets and accuracies of the verdict are."""
    said = f"Budgets are shares of {COSTS[view.cost]}, accuracies are those of the measure {view.measure}."
    return f"{said} {view.too_few}".strip()


def markdown(view: View) -> str:
    """Return the verdict as Markdown, without its title."""
    parts = []
    if view.summary.get("audit"):
        rows = [[a["rule"], "yes" if a["passed"] else "**no**", a["detail"]] for a in view.summary["audit"]]
        parts += ["## Audit", table(["rule", "kept", "found"], rows, words=3)]
    for found in sections(view):
        parts += [f"## {found.title}", table(found.heads, found.rows, words=found.words), found.note]
    return "\n\n".join(parts)


def primary(view: View) -> Section:
    """Return the primary endpoints; everything beside them is exploratory."""
    records: list[Record] = view.summary["primary"]
    rows = [
        [
            f"{_side(r['first'])} {MINUS} {_side(r['second'])}",
            _where(r),
            *(_difference(r, half) for half in ("half", "joint_half")),
            p_text(r["p_holm"]),
        ]
        for r in records
    ]
    note = (
        "Written in params.yaml before the first row existed. Points, one number per seed, paired; the joint intervals "
        f"hold together with 95{NBSP}% (Bonferroni), p after Holm's correction over these endpoints. Every other "
        "comparison of this suite is exploratory."
    )
    heads = ["contrast", "where", f"difference, 95{NBSP}% interval", "joint interval", "p (Holm)"]
    return Section("Primary endpoints", note, heads, rows)


def best_rule(view: View) -> Section:
    """Return the reference minus the best search-free rule by budget, a column per number of shots."""
    records = {(r["granularity"], r["measure"], r["budget"], r["shots"]): r for r in view.summary["best_rule"]}
    every_shots = sorted({shots for *_, shots in records})
    names = {"accuracy": "", **{measure: f"area, {BUDGETS[name]}" for name, measure in MEASURES.items()}}
    rows = []
    places = sorted(dict.fromkeys(place[:3] for place in records), key=lambda place: view.granularities.index(place[0]))
    for granularity, measure, budget in places:
        found = [records.get((granularity, measure, budget, shots)) for shots in every_shots]
        at_headline = records.get((granularity, measure, budget, view.headline_shots))
        closest = label(**at_headline["best"]) if at_headline else "–"
        name = percent(budget) if budget else names[measure]
        rows.append([granularity, name, closest, *(_range(one) if one else "–" for one in found)])
    note = (
        f"{NAME} minus the rule that is closest to it, in points, on {view.headline_target}, weights mode "
        f"{view.headline_weights}. Rules need neither search nor pretraining. In brackets: the range in which the "
        f"difference from the best rule lies, from intervals that hold with 95{NBSP}% for all rules and budgets of a "
        f"column together (areas apart). {NAME} is ahead of every rule where the lower end is above zero. The closest "
        f"rule is that at {plural(view.headline_shots, 'shot')}."
    )
    heads = ["pruning", "budget", "closest rule", *(plural(shots, "shot") for shots in every_shots)]
    return Section(f"{NAME} against the best search-free rule", note, heads, rows, 3)


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
        cells = [_difference(one, "half") if one else "–" for one in found]
        rows.append([granularity, BUDGETS[budgets], label(method, variant), *cells])
    cost = COSTS[OTHER[view.cost]]
    note = (
        f"Area of {NAME} minus that of the rival in points over the logarithm of {cost}, within a seed over the range "
        f"that both reach, on {view.headline_target}, weights mode {view.headline_weights}; paired by seed, ± half "
        f"width of the 95{NBSP}% interval."
    )
    heads = ["pruning", "budgets", "rival", *(plural(shots, "shot") for shots in every_shots)]
    return Section(f"At equal {cost}", note, heads, rows, 3)


def ranks(view: View) -> Section:
    """Return the mean ranks of default variants."""
    rows = [
        [r["granularity"], label(r["method"]), _rank(r), "" if r["apart"] else "not told apart from the best"]
        for r in view.summary["ranks"]
    ]
    note = (
        f"Mean rank over all targets, shots and budgets, default variants with every accuracy, weights mode "
        f"{view.headline_weights}, 1 is the best; in brackets the 95{NBSP}% interval over resamples of seeds, from "
        "five seeds on. Places share seeds and budgets, so the rank says less than their number suggests."
    )
    return Section("Ranks", note, ["pruning", "method", "rank", ""], rows)


def pairing(view: View) -> Section:
    """Return what pairing by seed is worth."""
    rows = [
        [r["granularity"], label(r["method"]), f"{r['correlation']:.2f}".replace("-", MINUS), f"{r['variance']:.2f}"]
        for r in view.summary["pairing"]
    ]
    note = (
        f"Correlation of a method's accuracies with {NAME}'s over seeds, pooled over budgets, {view.setting}, and the "
        "variance of paired differences over that of unpaired ones: below 1 pairing helps, above it harms."
    )
    return Section("What pairing by seed is worth", note, ["pruning", "method", "correlation", "variance"], rows)


def variances(view: View) -> Section:
    """Return where the variance between seeds comes from."""
    rows = [
        [r["granularity"], r["target"], label(r["method"]), f"{100 * r['sd']:.1f}"]
        + ["–" if r[part] is None else percent(round(r[part], 2)) for part in ("episodes", "retrainings", "seeds")]
        for r in view.summary["variances"]
    ]
    note = (
        f"Standard deviation of one seed's accuracy in points at {plural(view.headline_shots, 'shot')}, averaged as a "
        "variance over budgets, and the parts of its square. A dash: that part is within the seeds' own. More "
        "episodes lower the first part, more retrainings the second, only more seeds the third."
    )
    heads = ["pruning", "target", "method", "s.d.", "episodes", "retrainings", "seeds"]
    return Section("Where the noise comes from", note, heads, rows, 3)


def _side(name: str) -> str:
    method, _, variant = name.partition("+")
    return label(method, variant)


def _where(record: Record) -> str:
    targets = "mean over targets" if record["targets"] == "mean" else listing(record["targets"])
    shots = listing([str(shots) for shots in record["shots"]])
    budgets = listing([percent(budget) for budget in record["budgets"]])
    return (
        f"{record['granularity']}, {budgets} of {COSTS[record['cost']]}, weights {record['weights']}, "
        f"{record['measure']}, {targets}, {shots} shots"
    )


def _difference(record: Record, half: str) -> str:
    return "–" if record["difference"] is None else points(record["difference"], record[half])


def _range(record: Record) -> str:
    text = points(record["difference"], None)
    if record["low"] is None:
        return text
    return f"{text} [{points(record['low'], None)}, {points(record['high'], None)}]"


def _rank(record: Record) -> str:
    text = f"{record['rank']:.2f}"
    return text if record["low"] is None else f"{text} [{record['low']:.2f}, {record['high']:.2f}]"
