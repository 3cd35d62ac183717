"""What the studies say: their questions, tables and the records behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.report import render
from benchmark.report.comparisons import BUDGETS
from benchmark.report.labels import label, percent, percents, plural, points, variant_label
from benchmark.report.table import Column, Table, differences, p_values, words
from benchmark.report.view import Record, View


@dataclass(frozen=True)
class Question:
    """What a study asks, the claims it decides, and what its figure shows beside the areas."""

    text: str
    claims: tuple[str, ...]
    beside: tuple[str, ...]  # of `benchmark.report.figures.study.BESIDE`


QUESTIONS = {
    "temperature": Question(
        "Does the search gain from a second temperature, from hard gates, or from wider ones?",
        ("C6",),
        ("gap", "undecided"),
    ),
    "law": Question(
        "Which law of weights finds the better architectures, and does it find the same widths from every start?",
        ("C3", "C5"),
        ("spread", "shared"),
    ),
    "depth": Question("Is depth found by gates alone, or is it better tried first?", (), ("accuracy",)),
    "width": Question(
        "Are widths by gradients better than equal shares, and better for trainings that say how far they go?",
        ("C1",),
        ("accuracy",),
    ),
    "retraining": Question("What does a teacher add in the retraining of the same architectures?", (), ("accuracy",)),
    "path": Question(
        "Is the smallest complexity reached as well by one search for all budgets as by a search for each, and by a "
        "price of complexity as well as by a budget?",
        ("C2",),
        ("nested", "accuracy"),
    ),
}
FEW = BUDGETS["small"]


def names(view: View) -> list[str]:
    """Return the studies of the suite."""
    return [study["study"] for study in view.studies]


def question(name: str) -> Question:
    """Return what a study asks; of one that this project does not know, in general words."""
    return QUESTIONS.get(name, Question("What does each variant change?", (), ("accuracy",)))


def method_of(view: View, name: str) -> str:
    """Return the method that a study is about."""
    method: str = _described(view, name)["method"]
    return method


def variants(view: View, name: str, granularity: str) -> list[str]:
    """Return the variants of a study that have anything to show at a granularity, the default first."""
    shown = {r["variant"] for r in records(view, name) if r["granularity"] == granularity}
    return [variant for variant in ("", *_described(view, name)["variants"]) if variant in shown]


def areas(view: View, name: str) -> list[Record]:
    """Return the areas of a study and their differences from the default."""
    return [record for record in view.summary["study_areas"] if record["study"] == name]


def searches(view: View, name: str) -> list[Record]:
    """Return what a study's searches were like."""
    return [record for record in view.summary["study_searches"] if record["study"] == name]


def records(view: View, name: str) -> list[Record]:
    """Return all records of a study: those of areas, then those of searches, told apart by `about`."""
    found = [{"about": "area", **record} for record in areas(view, name)]
    return found + [{"about": "search", **record} for record in searches(view, name)]


def only(found: list[Record], **where: Any) -> Record | None:
    """Return the first of the records with these values, or None."""
    return next((r for r in found if all(r[key] == value for key, value in where.items())), None)


def legend(view: View, name: str) -> str:
    """Say what the tables of a study are about."""
    return (
        f"{question(name).text} Every variant differs from {label(method_of(view, name))}'s default in what stands "
        f"beside it. Areas: accuracy over log complexity in percent, {view.setting}, over all budgets or those of "
        f"{FEW}; differences from the default in percentage points, paired by search seed, ± half width of the 95 % "
        f"interval over {plural(len(view.seeds), 'seed')}; Holm's correction over the variants of the study at the "
        "same granularity, weights mode and set of budgets.\n\n"
        "Searches: the *gap* is the accuracy of the relaxed network "
        "minus that of the discrete one it becomes, on held-out source images, in points; *undecided* are the units "
        "whose backward gate lies between 0.05 and 0.95 at the end, which a wide backward temperature makes of nearly "
        "all of them, so compare it at equal ones only; the *spread* is the coefficient of variation of a layer's "
        "width over seeds, mean over layers; *shared* is the share of kept units that two seeds have in common, in "
        "points above that of units drawn at random, as many per layer; *nested* is the share of an architecture's "
        "units that the next larger budget keeps too; *cost* is the compute of the search for all budgets, in "
        "pretrainings. Where a search ties the channels of a layer to a width, it keeps the first of them by "
        "construction: there *shared* and *nested* say how widths agree, and nothing about units."
    )


def markdown(view: View, name: str) -> str:
    """Return the tables of a study as Markdown."""
    changed = [f"- {variant_label(v)}: {changes(p)}" for v, p in _described(view, name)["variants"].items()]
    parts = ["\n".join(changed)]
    for granularity in view.granularities:
        shown = variants(view, name, granularity)
        if shown:
            where = (view, name, granularity, shown)
            parts += [f"## {granularity} pruning", render.markdown(_areas(*where)), render.markdown(_searches(*where))]
            for title, of in (("Gap (points)", "gap (points)"), ("Spread (%)", "spread (%)")):
                table = _by_budget(*where, _EACH[of])
                parts += [f"### {title} by budget, {granularity} pruning", render.markdown(table)]
    return "\n\n".join(parts)


def _described(view: View, name: str) -> Record:
    return next(study for study in view.studies if study["study"] == name)


def changes(params: Record) -> str:
    """Return what a variant changes, as text."""
    return ", ".join(f"`{key}` = {value}" for key, value in params.items())


def _sets(found: list[Record]) -> list[str]:
    present = {record["budgets"] for record in found}
    return [name for name in ("small", "all") if name in present]


def _areas(view: View, name: str, granularity: str, shown: list[str]) -> Table:
    found = [record for record in areas(view, name) if record["granularity"] == granularity]
    sets = _sets(found)
    rows = []
    for weights in view.weights:
        for variant in shown:
            of = [only(found, weights=weights, variant=variant, budgets=budgets) for budgets in sets]
            rows.append([variant, weights, *(record for record in of for _ in range(3))])
    columns = [
        column
        for among in (BUDGETS[budgets] for budgets in sets)
        for column in (
            Column(f"area, {among}", format=_area),
            differences(f"minus default, {among}"),
            p_values(f"p (Holm), {among}"),
        )
    ]
    return Table([words("variant", variant_label), words("weights"), *columns], rows)


def _area(record: Record) -> str:
    return percents(record["area"], record["area_half"])


def _searches(view: View, name: str, granularity: str, shown: list[str]) -> Table:
    found = [record for record in searches(view, name) if record["granularity"] == granularity]
    sets = _sets(found)
    rows = []
    for variant in shown:
        of = [only(found, variant=variant, budgets=budgets) for budgets in sets]
        whole = only(found, variant=variant, budgets="all") or {}
        rows.append([variant, *of * len(_EACH), whole.get("undecided"), whole.get("search_cost")])
    columns = [
        *(Column(f"{head}, {BUDGETS[budgets]}", format=text) for head, text in _EACH.items() for budgets in sets),
        Column("undecided (%)", format=_share),
        Column("cost (pretrainings)", format="{:.2f}".format),
    ]
    return Table([words("variant", variant_label), *columns], rows)


def _gap(record: Record) -> str | None:
    return None if record["gap"] is None else points(record["gap"], record["gap_half"])


def above_chance(record: Record) -> float | None:
    """Return the share of kept units that two seeds have in common, above that of units drawn at random."""
    return None if record.get("overlap") is None else record["overlap"] - record["chance"]


def _shared(record: Record) -> str | None:
    above = above_chance(record)
    return None if above is None else points(above, None)


def _share(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.0f}"


_EACH: dict[str, Callable[[Record], str | None]] = {
    "gap (points)": _gap,
    "spread (%)": lambda record: _share(record["spread"]),
    "shared (points)": _shared,
    "nested (%)": lambda record: _share(record["nested"]),
}


def _by_budget(
    view: View, name: str, granularity: str, shown: list[str], text: Callable[[Record], str | None]
) -> Table:
    found = [record for record in searches(view, name) if record["granularity"] == granularity]
    rows = [[variant, *(only(found, variant=variant, budget=budget) for budget in view.budgets)] for variant in shown]
    columns = [Column(percent(budget), format=text) for budget in view.budgets]
    return Table([words("variant", variant_label), *columns], rows)
