"""Which setting of a method does best over everything that a suite asks: the rule by which settings are chosen."""

from collections.abc import Mapping
from typing import Any

from benchmark.analysis.comparisons import Contrast, compare
from benchmark.analysis.grid import BySeed
from benchmark.analysis.groups import mean
from benchmark.config.ablations import Study


def settings(study: Study, areas: BySeed, headline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for every variant of a study what it changes in the mean of the areas over granularities.

    At the headline's weights, target and shots, paired by seed. At a granularity where a variant does not run it counts
    as the default. `error` is the standard error of `difference`. At most one variant is `ahead`: the best, if its
    difference exceeds its standard error (the one-standard-error rule, Breiman et al. 1984, with the default in the
    place of the simplest model). Empty where the default has no area.
    """
    place = (headline["weights"], headline["target"], headline["shots"])
    found: dict[str, dict[str, Mapping[int, float]]] = {}
    for key, by_seed in areas.items():
        if key.method == study.method and (key.weights, key.target, key.shots) == place:
            found.setdefault(key.variant, {})[key.granularity] = by_seed
    default = found.get("")
    if not default:
        return []
    contrasts = [
        Contrast(
            {
                "study": study.name,
                "method": study.method,
                "variant": variant,
                "granularities": " ".join(found[variant]),
            },
            _means(default | found[variant]),
            _means(default),
        )
        for variant in study.variants
        if variant in found
    ]
    records = [one.record(corrected=False) | {"error": one.test.error, "ahead": False} for one in compare(contrasts)]
    best = max(records, key=lambda record: record["difference"], default=None)
    if best is not None and best["error"] is not None:
        best["ahead"] = best["difference"] > best["error"]
    return records


def _means(by_granularity: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """The mean over granularities of every seed that has them all."""
    seeds = set.intersection(*(set(by_seed) for by_seed in by_granularity.values()))
    return {seed: mean(by_seed[seed] for by_seed in by_granularity.values()) for seed in sorted(seeds)}
