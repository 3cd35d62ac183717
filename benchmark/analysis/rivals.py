"""The method under study minus every rival, and inherited minus fresh weights."""

from collections.abc import Iterator
from typing import Any

from benchmark.analysis.areas import Areas
from benchmark.analysis.cells import fields
from benchmark.analysis.comparisons import Contrast, compare
from benchmark.analysis.conventions import REFERENCE
from benchmark.protocol.controls import DENSE


def against_reference(values: Areas, measure: str) -> list[dict[str, Any]]:
    """Compare the reference with every rival at equal granularity, weights, target, budget and shots."""
    found = compare(_contrasts(values))
    return [one.record() | {"measure": measure, "family_size": one.family_size} for one in found]


def _contrasts(values: Areas) -> Iterator[Contrast]:
    for key, reference in values.items():
        if key.method != REFERENCE or key.variant:
            continue
        for rival, accuracies in values.items():
            budget = key.budget if rival.method == DENSE else rival.budget
            if rival != key and rival._replace(method=REFERENCE, variant="", budget=budget) == key:
                kind = "dense" if rival.method == DENSE else "variants" if rival.variant else "methods"
                family = (key.granularity, key.weights, key.target, key.shots, kind)
                place = fields(rival._replace(budget=key.budget)) | {"family": kind}
                yield Contrast(place, reference, accuracies, family)


def gaps(areas: Areas) -> list[dict[str, Any]]:
    """Return what a method's own weights add to its area: inherit minus fresh, paired by seed."""
    contrasts = []
    for key, fresh in areas.items():
        inherit = areas.get(key._replace(weights="inherit"))
        if key.weights == "fresh" and inherit:
            place = {name: value for name, value in fields(key).items() if name != "weights"}
            contrasts.append(Contrast(place, inherit, fresh))
    return [one.record(corrected=False) for one in compare(contrasts)]
