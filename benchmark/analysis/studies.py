"""The studies of a suite: what each variant changes in area, paired by seed, and what its searches were like."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.analysis.areas import budget_sets
from benchmark.analysis.comparisons import Contrast, records
from benchmark.analysis.grid import BySeed
from benchmark.analysis.groups import Groups, mean
from benchmark.analysis.intervals import deviation, mean_interval
from benchmark.config.ablations import Study


def against_default(study: Study, budgets: str, areas: BySeed, headline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the area of every variant and its difference from the default, at the headline's target and shots.

    `budgets` says which the areas are over: "all" or "small". The default comes first and has no difference. Holm's
    correction runs over the variants of equal granularity and weights mode.
    """
    order = ("", *study.variants)
    found: dict[tuple[str, str], dict[str, Mapping[int, float]]] = {}
    for key, by_seed in areas.items():
        place = (key.target, key.shots) == (headline["target"], headline["shots"])
        if place and key.method == study.method and key.variant in order:
            found.setdefault((key.granularity, key.weights), {})[key.variant] = by_seed
    contrasts = [
        Contrast(
            _area(study, place, budgets, variant, by_variant[variant]),
            by_variant[variant],
            by_variant.get("", {}) if variant else {},
            family=place,
        )
        for place, by_variant in found.items()
        for variant in order
        if variant in by_variant
    ]
    # Where there is no difference, the seeds are those of the area.
    return [
        record | ({} if record["seeds"] else {"seeds": len(contrast.first)})
        for contrast, record in zip(contrasts, records(contrasts), strict=True)
    ]


def _area(
    study: Study, place: tuple[str, str], budgets: str, variant: str, by_seed: Mapping[int, float]
) -> dict[str, Any]:
    level = mean_interval(list(by_seed.values()))
    return {
        "study": study.name,
        "granularity": place[0],
        "weights": place[1],
        "budgets": budgets,
        "method": study.method,
        "variant": variant,
        "area": level.mean,
        "area_half": level.half,
    }


def relative_costs(groups: Groups) -> dict[tuple[str, str, str], float]:
    """Return the compute of a search as a multiple of one pretraining, by granularity, method and variant.

    Mean over seeds. The pretraining's compute stands in the rows of whatever used it; empty where nothing did.
    """
    pretraining: dict[int, int] = {}
    spent: dict[tuple[str, str, str], dict[int, int]] = {}
    for key, seeds in groups.items():
        for seed, rows in seeds.items():
            pretraining[seed] = max(pretraining.get(seed, 0), *(row.pretrain_flops for row in rows))
            spent.setdefault(key[:3], {})[seed] = rows[0].search_flops
    shares = {
        place: [flops / pretraining[seed] for seed, flops in by_seed.items() if pretraining[seed]]
        for place, by_seed in spent.items()
    }
    return {place: mean(found) for place, found in shares.items() if found}


@dataclass(frozen=True)
class _Found:
    """What the searches of one variant at one granularity left, by budget, falling, and seed."""

    kept: Mapping[float, Mapping[int, Mapping[str, int]]]
    gap: Mapping[float, Mapping[int, float]]
    nested: Mapping[float, Mapping[int, float]]
    overlap: Mapping[float, float]
    chance: Mapping[float, float]


def searches(
    study: Study,
    content: Mapping[str, Any],
    granularities: Iterable[str],
    budgets: Sequence[float],
    costs: Mapping[tuple[str, str, str], float],
) -> list[dict[str, Any]]:
    """Return what a study's searches were like: by granularity and variant, for sets of budgets and for each budget.

    `content` of METHOD.search.json; what it lacks is None. `budgets` of a record is "all", "small", or None with
    `budget` set. Values of a set are means over its budgets, within a seed where they are by seed: of the seeds that
    have them all. `undecided` and `search_cost` are of the search as a whole, and stand with "all".
    """
    falling = sorted(budgets, reverse=True)
    sets = [*budget_sets(falling).items(), *((None, [budget]) for budget in falling)]
    records = []
    for granularity in granularities:
        for variant in ("", *study.variants):
            found = _found(content, variant, granularity, falling)
            if not found.kept:
                continue
            place = {"study": study.name, "granularity": granularity, "method": study.method, "variant": variant}
            whole = {
                "undecided": _undecided(content, variant, granularity),
                "search_cost": costs.get((granularity, study.method, variant)),
            }
            for name, members in sets:
                record = {**place, "budgets": name, "budget": None if name else members[0], **_record(found, members)}
                records.append(record | (whole if name == "all" else dict.fromkeys(whole)))
    return records


def _record(found: _Found, budgets: Sequence[float]) -> dict[str, Any]:
    gaps = _over(found.gap, budgets)
    gap = mean_interval(list(gaps.values())) if gaps else None
    # No budget is larger than the largest, so nothing is nested in it.
    nested = _over(found.nested, [budget for budget in budgets if budget != max(found.kept)])
    widths = [spread(list(found.kept.get(budget, {}).values())) for budget in budgets]
    return {
        "gap": gap and gap.mean,
        "gap_half": gap and gap.half,
        "seeds": min(len(found.kept.get(budget, {})) for budget in budgets),
        "spread": _mean(widths),
        "overlap": _mean([found.overlap.get(budget) for budget in budgets]),
        "chance": _mean([found.chance.get(budget) for budget in budgets]),
        "nested": mean(nested.values()) if nested else None,
    }


def spread(kept: Sequence[Mapping[str, int]]) -> float | None:
    """Return how much widths differ between seeds: the coefficient of variation of a group's units, mean over groups.

    A group of which no seed keeps anything does not vary. None with one seed.
    """
    if len(kept) < 2:
        return None
    counts = [[by_group[name] for by_group in kept] for name in kept[0]]
    return mean(deviation(found) / mean(found) if any(found) else 0.0 for found in counts)


def _found(content: Mapping[str, Any], variant: str, granularity: str, budgets: Sequence[float]) -> _Found:
    def here(name: str) -> list[dict[str, Any]]:
        return [
            entry
            for entry in content.get(name, [])
            if (entry["variant"], entry["granularity"]) == (variant, granularity) and entry["budget"] in budgets
        ]

    architectures = here("architectures")
    noted = [entry for entry in architectures if {"relaxed", "discrete"} <= set(entry.get("notes", {}))]
    return _Found(
        kept=_by_budget(architectures, lambda entry: entry["kept"]),
        gap=_by_budget(noted, lambda entry: entry["notes"]["relaxed"] - entry["notes"]["discrete"]),
        nested=_by_budget(here("nested"), lambda entry: entry["share"]),
        overlap={entry["budget"]: entry["share"] for entry in here("overlaps")},
        chance={entry["budget"]: entry["chance"] for entry in here("overlaps")},
    )


def _by_budget(entries: Iterable[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], Any]) -> dict[float, Any]:
    found: dict[float, dict[int, Any]] = {}
    for entry in entries:
        found.setdefault(entry["budget"], {})[entry["seed"]] = value(entry)
    return found


def _over(values: Mapping[float, Mapping[int, float]], budgets: Sequence[float]) -> dict[int, float]:
    """The mean over budgets of every seed that has them all."""
    if not budgets or any(budget not in values for budget in budgets):
        return {}
    seeds = [seed for seed in values[budgets[0]] if all(seed in values[budget] for budget in budgets)]
    return {seed: mean(values[budget][seed] for budget in budgets) for seed in seeds}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None


def _undecided(content: Mapping[str, Any], variant: str, granularity: str) -> float | None:
    """The mean over seeds of the share of undecided units at the last point of a trace."""
    last = [
        trace["points"][-1].get("undecided")
        for trace in content["traces"]
        if (trace["variant"], trace["granularity"]) == (variant, granularity) and trace["points"]
    ]
    return _mean(last)
