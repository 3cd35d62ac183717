"""Who is compared with whom, and the method under study against the search-free rules, all of them at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.analysis.comparisons import Comparison, Contrast, compare
from benchmark.analysis.grid import BySeed, CellKey
from benchmark.analysis.groups import Groups
from benchmark.protocol.controls import DENSE

Method = tuple[str, str]


def is_rival(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell of a summary is one of those that are ranked and of which the best is told.

    These are the default variants, and all variants of what costs no search, since anybody may take the best of these.
    """
    searched = cell["pretrain_flops"] or cell["search_flops"]
    return cell["method"] != DENSE and not (cell["variant"] and searched)


def free(groups: Groups, weights: str) -> set[Method]:
    """Return the search-free methods and variants: those whose rows cost neither a search nor a pretraining."""
    found: dict[Method, bool] = {}
    for key, seeds in groups.items():
        if key.weights == weights and key.method != DENSE:
            costs = any(row.search_flops or row.pretrain_flops for rows in seeds.values() for row in rows)
            found[key.method, key.variant] = found.get((key.method, key.variant), True) and not costs
    return {method for method, without in found.items() if without}


def against_rules(
    tested: Mapping[str, BySeed], rules: set[Method], reference: str, headline: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the reference minus each rule, and minus the best rule, where the headline is, for all shots.

    `tested` holds values by seed by the name of what is measured ("accuracy", "area", "small area"). To pick the rule
    with the highest mean and test against it alone would be optimistic for the rules at one place and for the reference
    at another. So intervals hold together over all rules and budgets of a granularity, measure and number of shots,
    and the difference from the best rule, which is the smallest of the differences, lies between the smallest of the
    lower and the smallest of the upper ends.
    """
    contrasts = [_each(name, values, rules, reference, headline) for name, values in tested.items()]
    compared = [one for of_measure in contrasts for one in compare(of_measure)]
    each = [one.record(joint=True) for one in compared]
    places: dict[tuple[Any, ...], list[Comparison]] = {}
    for one in compared:
        place = one.place
        places.setdefault((place["granularity"], place["shots"], place["measure"], place["budget"]), []).append(one)
    return each, [_best(members) for members in places.values()]


def _each(
    name: str, values: BySeed, rules: set[Method], reference: str, headline: Mapping[str, Any]
) -> Iterator[Contrast]:
    for key, accuracies in values.items():
        ours = values.get(key._replace(method=reference, variant=""))
        here = (key.weights, key.target) == (headline["weights"], headline["target"])
        if here and ours and (key.method, key.variant) in rules and key.method != reference:
            yield Contrast(_place(key, name), ours, accuracies, (key.granularity, key.shots))


def _place(key: CellKey, name: str) -> dict[str, Any]:
    place = {"granularity": key.granularity, "shots": key.shots, "measure": name, "budget": key.budget or None}
    return place | {"method": key.method, "variant": key.variant}


def _best(members: list[Comparison]) -> dict[str, Any]:
    closest = min(members, key=lambda one: one.test.mean)
    halves = [one.joint_half for one in members]
    low = high = None
    if None not in halves:
        low = min(one.test.mean - (one.joint_half or 0.0) for one in members)
        high = min(one.test.mean + (one.joint_half or 0.0) for one in members)
    names = ("granularity", "shots", "measure", "budget")
    return {
        **{name: closest.place[name] for name in names},
        "best": {"method": closest.place["method"], "variant": closest.place["variant"]},
        "rules": len(members),
        "difference": closest.test.mean,
        "low": low,
        "high": high,
        "seeds": min(one.test.n for one in members),
    }
