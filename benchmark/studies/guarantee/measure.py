"""The experiments: gaps of the update beside what is proved of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor

from benchmark import seeds
from benchmark.provenance import provenance
from benchmark.studies.guarantee import bounds, rounding
from benchmark.studies.guarantee.bounds import Setting, best_step
from benchmark.studies.guarantee.descent import Course, descend
from benchmark.studies.guarantee.optimum import Relaxed, relaxed, values
from benchmark.studies.guarantee.problems import Problem, coin, problems
from benchmark.studies.guarantee.sizes import Sizes, sizes, smoothness

SCHEMA = 1
MARKS = sorted({round(10 ** (tenth / 8)) for tenth in range(33)})
TUNED_FOR = (100, 1000, 10_000)  # the steps T for which a step size is the best
RATIOS = (0.25, 0.5, 1.0)  # tau_lo / tau_hi, beside a constant slope
HORIZONS = (10, 32, 100, 316, 1000, 3162, 10_000)
BATCH = 8
BATCH_RATIOS = (0.0, 0.5)
LAST_RATIOS = (0.0, 0.5, 1.0)
PENALTIES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # times the problem's own
ROUNDING_STEPS = 1000
CONFIDENCE = 0.95
Record = dict[str, Any]


def measure(progress: Callable[[str], None] = lambda _: None) -> Record:
    """Return all of it as a JSON document; `progress` is told what comes next."""
    found: dict[str, list[Record]] = {"problems": [], "full": [], "batches": [], "last": [], "rounding": []}
    for problem in problems():
        progress(problem.title)
        best = relaxed(problem)
        full, single = sizes(problem), sizes(problem, BATCH)
        found["problems"].append(_about(problem, best, full, single))
        averages, lasts = whole_gradients(problem, best, full)
        found["full"] += averages
        found["last"] += lasts
        found["batches"] += batches(problem, best, single, BATCH)
        if problem.units <= 16:
            found["rounding"] += [rounded(problem, factor * problem.penalty) for factor in PENALTIES]
    progress(coin(1).title)
    found["batches"] += hidden_signs()
    return {"schema": SCHEMA, **found, "verdict": verdict(found), "provenance": provenance()}


def _about(problem: Problem, best: Relaxed, full: Sizes, single: Sizes) -> Record:
    middle = float(problem.value(torch.full_like(best.point, 0.5)[None]))
    return {
        "name": problem.name,
        "title": problem.title,
        "loss": problem.loss,
        "units": problem.units,
        "rows": len(problem.rows),
        "penalty": problem.penalty,
        "minimum": best.value,
        "uncertain": best.value - best.lower,
        "middle": middle,
        "size": full.size,
        "largest": full.largest,
        "batch": BATCH,
        "batch_size": single.size,
        "batch_largest": single.largest,
        "repetitions": problem.repetitions,
        "smoothness": smoothness(problem),
    }


def whole_gradients(
    problem: Problem, best: Relaxed, limits: Sizes, marks: Sequence[int] = MARKS
) -> tuple[list[Record], list[Record]]:
    """Return the gaps of runs with full gradients: those of the mean of J(a_t), and those of the last iterate.

    The former have several steps at a constant slope and several ratios at the middle one, the latter the longest step
    for which the last iterate has a bound of its own. All of them run at once.
    """
    units, smooth = problem.units, bounds.smooth_step(smoothness(problem))
    # A step, a ratio, and the number of steps for which that step is the best; None where it is the longest.
    runs: list[tuple[float, float, int | None]] = [
        (best_step(units, 0.0, limits.size, limits.largest, steps), 0.0, steps) for steps in TUNED_FOR
    ]
    middle, _, steps = runs[len(runs) // 2]
    runs += [(middle, ratio, steps) for ratio in RATIOS]
    runs += [(smooth, ratio, None) for ratio in LAST_RATIOS]
    course = descend(problem, [run[0] for run in runs], [run[1] for run in runs], marks)
    averages: list[Record] = []
    lasts: list[Record] = []
    for run, (step, ratio, tuned_for) in enumerate(runs):
        setting = Setting(units, step, ratio, limits.size, limits.largest)
        record: Record = {"problem": problem.name, "ratio": ratio, "step": step, "steps": list(course.marks)}
        seen = _seen(setting, course, run)
        if tuned_for is None:
            record["last"] = (course.last[run] - best.lower).tolist()
            constant = [bounds.smooth_bound(units, step, mark) for mark in course.marks]
            record["bound"] = seen if ratio else constant
            record["rise"] = float(course.rise[run].max())
            lasts.append(record)
        else:
            record["tuned_for"] = tuned_for
            record["average"] = (course.average[run] - best.lower).tolist()
            record["of_mean"] = (course.of_mean[run] - best.lower).tolist()
            record["bound"] = [setting.bound(mark) for mark in course.marks]
            record["seen"] = seen
            averages.append(record)
    return averages, lasts


def _seen(setting: Setting, course: Course, run: int) -> list[float]:
    """The bound with the gradients and logits that a run without chance has met, in place of the largest there are."""
    found = []
    for column, mark in enumerate(course.marks):
        met = replace(
            setting, size=float(course.squares[run, column]) ** 0.5, largest=float(course.largest[run, column])
        )
        found.append(met.bound(mark, float(course.farthest[run, column])))
    return found


def batches(
    problem: Problem, best: Relaxed, limits: Sizes, batch: int, horizons: Sequence[int] = HORIZONS
) -> list[Record]:
    """Return the mean gap over repetitions with mini-batches; every number of steps has its best step size."""
    points = [_points(problem, best, limits, batch, steps) for steps in horizons]
    return _by_ratio(problem.name, batch, points)


def hidden_signs(horizons: Sequence[int] = HORIZONS) -> list[Record]:
    """Return the same for an objective made for each number of steps, as hard as we know."""
    points = []
    for steps in horizons:
        problem = coin(steps)
        points.append(_points(problem, relaxed(problem), sizes(problem, 1), 1, steps))
    return _by_ratio("coin", 1, points)


def _by_ratio(name: str, batch: int, points: Sequence[Sequence[Record]]) -> list[Record]:
    columns = zip(BATCH_RATIOS, zip(*points, strict=True), strict=True)
    return [{"problem": name, "ratio": ratio, "batch": batch, "points": list(column)} for ratio, column in columns]


def _points(problem: Problem, best: Relaxed, limits: Sizes, batch: int, horizon: int) -> list[Record]:
    """One number of steps: a point for each of the ratios, whose repetitions all run at once."""
    units, count = problem.units, problem.repetitions
    steps = [best_step(units, ratio, limits.size, limits.largest, horizon) for ratio in BATCH_RATIOS]
    each = [(step, ratio) for step, ratio in zip(steps, BATCH_RATIOS, strict=True) for _ in range(count)]
    draw = seeds.generator(0, "guarantee", problem.name, "batches", horizon)
    course = descend(problem, [step for step, _ in each], [ratio for _, ratio in each], [horizon], batch, draw)
    points = []
    for index, (step, ratio) in enumerate(zip(steps, BATCH_RATIOS, strict=True)):
        own = slice(index * count, (index + 1) * count)
        average, half = interval(course.average[own, 0] - best.lower)
        points.append(
            {
                "steps": horizon,
                "step": step,
                "average": average,
                "half": half,
                "of_mean": float((course.of_mean[own, 0] - best.lower).mean()),
                "bound": Setting(units, step, ratio, limits.size, limits.largest).bound(horizon),
            }
        )
    return points


def interval(sample: Tensor) -> tuple[float, float]:
    """Return the mean of independent repetitions and the half width of its interval."""
    factor = float(student.ppf((1 + CONFIDENCE) / 2, len(sample) - 1))
    return float(sample.mean()), factor * float(sample.std()) / math.sqrt(len(sample))


def rounded(problem: Problem, penalty: float, steps: int = ROUNDING_STEPS) -> Record:
    """Return what is left of a gap when the mean iterate becomes an architecture, against the best of all."""
    problem = replace(problem, penalty=penalty)
    best, discrete = relaxed(problem), float(values(problem).min())
    course = descend(problem, [bounds.smooth_step(smoothness(problem))], [0.0], [steps])
    point, last = course.mean[0], course.last[0, 0]

    def above(architecture: Tensor) -> float:
        return float(problem.value(architecture[None])) - discrete

    return {
        "problem": problem.name,
        "penalty": penalty,
        "discrete": discrete,
        "relaxed": best.value,
        "average": float(course.of_mean[0, 0]) - best.lower,
        "last": float(last) - best.lower,
        "undecided": float((4 * point * (1 - point)).mean()),
        "threshold": above(rounding.threshold(point)),
        "settled": above(rounding.settled(problem, point)),
        "expected": rounding.expected(problem, point) - discrete,
        "ceiling": float(problem.value(point[None])) + rounding.excess(problem, point) - discrete,
    }


def verdict(found: dict[str, list[Record]]) -> Record:
    """Return the largest ratio of a measured gap to its bound, for each kind of bound, and how many exceed it.

    With mini-batches a mean counts as larger only if its whole interval is.
    """
    whole = [pair for record in found["full"] for pair in zip(record["average"], record["bound"], strict=True)]
    seen = [pair for record in found["full"] for pair in zip(record["average"], record["seen"], strict=True)]
    last = [pair for record in found["last"] for pair in zip(record["last"], record["bound"], strict=True)]
    points = [point for record in found["batches"] for point in record["points"]]
    rounds = [(record[kind], record["ceiling"]) for record in found["rounding"] for kind in ("settled", "expected")]
    chance = [(point["average"], point["bound"]) for point in points]
    excesses = [sum(gap > bound for gap, bound in pairs) for pairs in (whole, seen, last)]
    excesses.append(sum(point["average"] - point["half"] > point["bound"] for point in points))
    excesses.append(sum(gap > bound + 1e-12 for gap, bound in rounds))
    return {
        "full": _largest(whole),
        "seen": _largest(seen),
        "batches": _largest(chance),
        "last": _largest(last),
        "largest": max(map(_largest, (whole, seen, chance, last))),
        "rise": max(record["rise"] for record in found["last"]),
        "compared": len(whole) + len(seen) + len(last) + len(points) + len(rounds),
        "exceeded": sum(excesses),
    }


def _largest(pairs: Sequence[tuple[float, float]]) -> float:
    return max((gap / bound for gap, bound in pairs), default=0.0)
