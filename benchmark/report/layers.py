"""The searches of a suite: architectures per layer and search traces, from METHOD.search.json."""

import math
from pathlib import Path
from typing import Any

from benchmark.analysis.conventions import REFERENCE
from benchmark.analysis.searches import read_search
from benchmark.protocol.controls import DENSE
from benchmark.report.view import View


def layers(view: View, results: Path) -> list[dict[str, Any]]:
    """Return the units kept per (granularity, method, variant, budget, layer), mean and range over seeds.

    Layers are numbered from 1 in the order of the search space; costs, budgets and variants that the view does not show
    are left out.
    """
    kept: dict[tuple[str, str, str, float, int, str, int], list[int]] = {}
    for method in view.methods:
        for found in read_search(results / f"{method}.search.json")["architectures"]:
            granularity, variant, budget = found["granularity"], found["variant"], found["budget"]
            asked = granularity in view.granularities and budget in view.budgets and found["seed"] in view.seeds
            if (
                method == DENSE
                or found["cost"] != view.cost
                or not asked
                or variant not in view.variants(method, granularity)
            ):
                continue
            for layer, (group, size) in enumerate(found["sizes"].items(), start=1):
                key = (granularity, method, variant, budget, layer, group, size)
                kept.setdefault(key, []).append(found["kept"][group])
    names = ("granularity", "method", "variant", "budget", "layer", "group", "size")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "kept": math.fsum(counts) / len(counts),
            "kept_min": min(counts),
            "kept_max": max(counts),
            "seeds": len(counts),
        }
        for key, counts in kept.items()
    ]


def traces(results: Path) -> list[dict[str, Any]]:
    """Return the search traces of DAP."""
    found: list[dict[str, Any]] = read_search(results / f"{REFERENCE}.search.json")["traces"]
    return found
