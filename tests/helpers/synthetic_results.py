"""Plausible result files for any parameters, for tests and for looking at figures; never results."""

import itertools
import math
import random
from pathlib import Path
from types import SimpleNamespace

from benchmark.analysis import read_summary
from benchmark.analysis.grid import methods_of, variants_of
from benchmark.analysis.rows import Row, write_results
from benchmark.config.ablations import studies_of
from benchmark.config.params import Params, SuiteConfig
from benchmark.files import sha256, write_json
from benchmark.protocol.controls import concerns

WIDTHS = [8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64]
# What a method loses per unit of log complexity, and what retraining from a fresh start adds to the loss.
LOSS = {"uniform": 0.022, "random": 0.034, "magnitude": 0.08, "lottery_ticket": 0.07, "darts": 0.045, "dap": 0.014}
# What an arm adds to every accuracy.
ARMS = {"": 0.0, "twice": 0.01, "shuffled": -0.01, "inverted": -0.06, "labels": -0.02, "flops": 0.015}
# What a measure adds to it.
MEASURED = {"finetune": 0.0, "probe": -0.04, "nearest": -0.08}
OWN_WEIGHTS = {"dense", "magnitude", "lottery_ticket", "darts", "dap"}


def write_synthetic(root: Path, params: Params, suite: str) -> None:
    """Write the result files of every method, data.json and tuning.json below `root`/reports/results/SUITE."""
    folder = root / "reports" / "results" / suite
    for method in methods_of(params, suite):
        rows, architectures, traces = _method(params, suite, method)
        provenance = {
            "machine": {"cpu": "Example CPU", "cores": 2},
            "versions": {"python": "3.11.9", "torch": "2.15.0"},
        }
        write_results(folder / f"{method}.json", rows, {**provenance, "device": "cpu", "data": {"digits": "ab" * 32}})
        search = {"schema": 1, "architectures": architectures, "traces": traces}
        if any(study.method == method for study in studies_of(params, suite)):
            search |= _likeness(architectures)
        write_json(folder / f"{method}.search.json", search)
        write_json(folder / f"{method}.timings.json", {"schema": 1, "cells": {}})
    _data(params.suites[suite], folder)
    write_json(folder / "tuning.json", {"schema": 1, "rates": _rates(params.suites[suite])})


def keep_every_rule(made: SimpleNamespace, suite: str) -> None:
    """Let the audit of an analysed suite say that it keeps every rule, as if it were a published one."""
    path = made.reports / "analysis" / suite / "summary.json"
    summary = read_summary(made.root, suite)
    write_json(path, summary | {"audit": [finding | {"passed": True} for finding in summary["audit"]]})


def _likeness(architectures: list[dict]) -> dict:
    """Give the architectures notes and widths that differ between seeds, and return how alike they are."""
    overlaps, nested = {}, []
    for found in architectures:
        random_ = random.Random(f"{found['variant']} {found['granularity']} {found['budget']} {found['seed']}")
        place = {name: found[name] for name in ("variant", "granularity", "budget")}
        discrete = random_.uniform(0.4, 0.6)
        found["notes"] = {"relaxed": discrete + 0.01 * len(found["variant"]) * random_.random(), "discrete": discrete}
        found["kept"] = {name: max(1, count - random_.randrange(3)) for name, count in found["kept"].items()}
        share = random_.uniform(0.3, 0.6)
        overlaps[tuple(place.values())] = {**place, "pairs": 3, "share": share, "chance": 0.8 * share}
        if found["budget"] < max(other["budget"] for other in architectures):
            nested.append({**place, "seed": found["seed"], "share": random_.uniform(0.7, 1.0)})
    return {"overlaps": list(overlaps.values()), "nested": nested}


def _data(config: SuiteConfig, folder: Path) -> None:
    labels = [target.label for target in config.data.targets]
    known = {"name": "made-up", "digest": "ab" * 32, "source": "nowhere"}
    targets = {
        label: {**known, "count": 1000 * (n + 1), "classes": [str(c) for c in range((10, 10, 964, 242)[n % 4])]}
        for n, label in enumerate(labels)
    }
    found = {"threshold": 0.99, "side": 16, "pairs": 9, "images": 7, "exact": 1, "closest": [[0, 1, 0.999]]}
    content = {"schema": 1, "source": {**known, "count": 9, "classes": ["0"]}, "targets": targets}
    write_json(folder / "data.json", content | {"near_duplicates": dict.fromkeys(labels, found)})


def _rates(config: SuiteConfig) -> list[dict]:
    if config.tuning is None:
        return []
    random_ = random.Random(0)
    recipes = {"training": config.training, "finetune": config.transfer.finetune}
    recipes |= {"scratch": config.transfer.scratch} if "scratch" in config.transfer.weights else {}
    grid = config.grid
    rates = []
    for granularity, budget in [(grid.granularities[0], 1.0), *itertools.product(grid.granularities, grid.budgets)]:
        for kind, recipe in recipes.items():
            tried = [{"lr": recipe.lr * f, "accuracy": random_.uniform(0.6, 0.8)} for f in config.tuning.factors]
            best = max(tried, key=lambda entry: entry["accuracy"])["lr"]
            place = {"granularity": granularity, "budget": budget, "kind": kind}
            rates.append({**place, "lr": best, "tried": tried, "cell": "c"})
    return rates


def _method(params: Params, suite: str, method: str) -> tuple[list[Row], list[dict], list[dict]]:
    config = params.suites[suite]
    rows, architectures, traces = [], [], []
    for granularity in config.grid.granularities:
        for variant in variants_of(params, suite, method, granularity):
            for seed in config.grid.seeds:
                random_ = random.Random(f"{granularity} {method} {variant} {seed}")
                budgets = [1.0] if method == "dense" else config.grid.budgets
                for cost_kind, budget in itertools.product(config.grid.costs, budgets):
                    kept, complexity = _widths(method, granularity, budget, random_)
                    cost = max(1, round(230_000 * complexity))
                    common = {
                        "method": method,
                        "variant": variant,
                        "granularity": granularity,
                        "cost": cost_kind,
                    }
                    common |= {
                        "budget": budget,
                        "complexity": complexity,
                        "seed": seed,
                        "params": cost,
                        "macs": cost * 13,
                    }
                    sizes = _sizes(granularity)
                    names = {
                        "digest": sha256(repr(common).encode()),
                        "file": "x.safetensors",
                        "search_cell": "c",
                        "reference": "",
                    }
                    if method != "dense":
                        architectures.append(
                            {**common, "kept": dict(zip(sizes, kept, strict=True)), "sizes": sizes, **names}
                        )
                    rows += _rows(config, suite, common, random_)
                if method in ("dap", "darts"):
                    points = _trace(variant, random_)
                    traces.append({"variant": variant, "granularity": granularity, "seed": seed, "points": points})
    return rows, architectures, traces


def _rows(config: SuiteConfig, suite: str, common: dict, random_: random.Random) -> list[Row]:
    rows = []
    method, variant, budget, seed = (common[k] for k in ("method", "variant", "budget", "seed"))
    search_shift = random_.gauss(0, 0.012)
    arms = [("", weights) for weights in config.transfer.weights]
    place = (method, variant, common["granularity"])
    arms += [(arm, "fresh") for arm in config.transfer.controls if concerns(arm, *place)]
    for arm, weights in arms:
        if weights == "inherit" and method not in OWN_WEIGHTS:
            continue
        slope = LOSS.get(method, 0.03) + 0.004 * len(variant) % 0.013
        slope *= {"fresh": 1.0, "scratch": 0.7, "inherit": 0.45}[weights]
        base = {"fresh": 0.95, "scratch": 0.83, "inherit": 0.955}[weights] + ARMS[arm]
        drop = slope * math.log(1 / budget) + 0.012 * math.log(1 / budget) ** 2 * (slope / 0.03)
        for number, target in enumerate(config.data.targets):
            hardness = (1.0, 0.9, 0.95, 0.4)[number % 4]
            for measure, shots in itertools.product(config.transfer.measures, config.shots(target)):
                for draw in range(config.draws(target) if measure == "finetune" else 1):
                    shared = random.Random(f"{seed} {target.label} {shots} {draw}").gauss(0, 0.05 / math.sqrt(shots))
                    mean = base - drop - 0.3 / shots**0.8
                    accuracy = hardness * (mean + MEASURED[measure] + search_shift + shared + random_.gauss(0, 0.01))
                    rows.append(
                        Row(
                            suite=suite,
                            model=config.model.name,
                            **common,
                            weights=weights,
                            target=target.label,
                            shots=shots,
                            draw=draw,
                            arm=arm,
                            measure=measure,
                            accuracy=round(min(1.0, max(0.2 * hardness, accuracy)), 4),
                            source_accuracy=None
                            if weights == "scratch"
                            else 0.97 + (0.006 + 0.001 * seed if arm else 0),
                            search_flops={"dap": 9 * 10**11, "darts": 6 * 10**11, "lottery_ticket": 3 * 10**12}.get(
                                method, 0
                            ),
                            train_flops=int(2 * 10**12 * common["complexity"]) + 10**10,
                            cell=sha256(repr((common, weights, shots)).encode()),
                            pretrain_flops=2 * 10**12 if method in ("magnitude", "dense") else 0,
                            search_cell="c",
                            architecture="a",
                        )
                    )
    return rows


def _sizes(granularity: str) -> dict[str, int]:
    scale = 1 if granularity == "channel" else 60
    return {f"features.{index}": width * scale for index, width in enumerate(WIDTHS)}


def _widths(method: str, granularity: str, budget: float, random_: random.Random) -> tuple[list[int], float]:
    """Return the kept units per layer and a complexity just below the budget."""
    kept = []
    for index, size in enumerate(_sizes(granularity).values()):
        share = budget**0.5 if granularity == "channel" else budget
        if method == "dap":
            share *= 1.8 - 1.5 * index / 12
        elif method in ("magnitude", "lottery_ticket"):
            share *= 1.0 - 0.9 * math.sin(index / 12 * math.pi)
        elif method not in ("dense", "uniform"):
            share *= random_.uniform(0.6, 1.4)
        kept.append(max(1, min(size, round(size * share))))
    return kept, 1.0 if method == "dense" else budget * random_.uniform(0.985, 1.0)


def _trace(variant: str, random_: random.Random) -> list[dict]:
    points = []
    for step in range(0, 301, 5):
        t = step / 300
        points.append(
            {
                "step": step,
                "loss": 1.6
                - 0.6 * t
                + random_.gauss(0, 0.08)
                + (0.3 if variant == "init" else 0.0)
                + 0.9 * max(0, t - 0.8),
                "complexity": math.exp(-4.6 * t) * random_.uniform(0.95, 1.0),
                "multiplier": 0.2 * t**2 * 10 * random_.uniform(0.97, 1.0),
                "undecided": max(0.0, 1 - 1.1 * t + random_.gauss(0, 0.01)),
            }
        )
    return points
