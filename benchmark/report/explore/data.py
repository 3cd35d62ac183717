"""What the page is explored with: every suite's cells, layers, floors and ranks, and how methods look."""

import json
from pathlib import Path
from typing import Any

from benchmark.analysis import read_summary
from benchmark.analysis.leaderboard import leaderboard
from benchmark.analysis.slices import Slice, slices
from benchmark.config.params import Params
from benchmark.protocol.controls import DENSE
from benchmark.report.captions import MODES
from benchmark.report.colours import colours, on_dark, stands_out
from benchmark.report.explore.columns import columns
from benchmark.report.explore.judged import FIELDS, judged
from benchmark.report.explore.shapes import shape
from benchmark.report.explore.sources import sources
from benchmark.report.labels import COSTS, FLOORS, MEASURED, label, unit, variant_label
from benchmark.report.layers import layers, traces
from benchmark.report.suites import in_order
from benchmark.report.view import View

BUDGET = 0.05  # what the page asks first, or the suite's budget that is nearest to it
LAYERS = ("granularity", "method", "variant", "budget", "layer", "group", "size", "kept", "kept_min", "kept_max")
RANKS = ("granularity", "method", "variant", "rank", "low", "high", "apart", "places", "seeds")


def explored(params: Params, root: Path) -> dict[str, Any]:
    """Return what the page's scripts read, as JSON can hold it; suites in the order in which they are shown.

    Reads the summaries of all slices, and the architectures of METHOD.search.json where these are there.
    """
    suites = [_suite(params, suite, root) for suite in in_order(params)]
    names = list(dict.fromkeys(method for suite in suites for method in suite["methods"]))
    looks = colours(names)
    return {
        "suites": suites,
        "leaderboard": leaderboard([read_summary(root, suite) for suite in in_order(params)]),
        "budget": BUDGET,
        "dense": DENSE,
        "methods": {name: _look(name, *looks[name]) for name in names},
        "labels": {
            "cost": COSTS,
            "measure": MEASURED,
            "weights": MODES,
            "floor": FLOORS,
            "granularity": {g: unit(g) for suite in suites for g in suite["granularities"]},
            "variant": {v: variant_label(v) for suite in suites for v in suite["variants"]},
        },
    }


def text(data: dict[str, Any]) -> str:
    """Return the data as JSON that may stand in a script element of a page."""
    found = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return found.replace("<", "\\u003c")


def _suite(params: Params, suite: str, root: Path) -> dict[str, Any]:
    main, *others = slices(params.suites[suite])
    views = {one: View(read_summary(root, suite, None if one == main else one.name)) for one in (main, *others)}
    view = views[main]
    results = root / "reports" / "results" / suite
    per_cost = {one.cost: columns(layers(found, results), LAYERS) for one, found in views.items()}
    methods = view.methods
    return {
        "name": suite,
        "title": view.summary["title"],
        "methods": methods,
        "variants": sorted({variant for method in methods for variant in view.all_variants(method)}),
        "granularities": view.granularities,
        "targets": view.shown_targets,
        "seeds": view.seeds,
        "few": bool(view.too_few),
        "headline": {
            "weights": view.headline_weights,
            "shots": view.headline_shots,
            "target": view.headline_target,
            "cost": main.cost,
            "measure": main.measure,
        },
        "slices": [_slice(one, found) for one, found in views.items()],
        "layers": per_cost,
        "sources": sources(view, traces(results)),
    }


def _slice(one: Slice, view: View) -> dict[str, Any]:
    levels = [
        {
            "target": target,
            "shots": shots,
            "chance": view.chance(target, shots),
            "floors": {measure: found["accuracy"] for measure, found in view.floors(target, shots).items()},
        }
        for target in view.shown_targets
        for shots in view.shots_of(target)
    ]
    return {
        "cost": one.cost,
        "measure": one.measure,
        "cells": columns(judged(view), FIELDS),
        "levels": levels,
        "ranks": columns(view.summary["ranks"], RANKS),
    }


def _look(method: str, colour: str, marker: str) -> dict[str, Any]:
    look = {"label": label(method), "light": colour, "dark": on_dark(colour), "shape": shape(marker)}
    return look | {"stands_out": stands_out(method)}
