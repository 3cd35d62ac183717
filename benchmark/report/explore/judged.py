"""The cells of a summary, each with what it is beside the best of its place and beside the dense control."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.analysis.intervals import mark_best, paired
from benchmark.protocol.controls import DENSE
from benchmark.report.view import Record, View

FIELDS = (
    *("granularity", "method", "variant", "weights", "target", "budget", "shots"),
    *("accuracy", "half", "seeds", "by_seed", "mark", "behind", "behind_half", "lost", "lost_half"),
    *("complexity", "params", "macs", "pretrain_flops", "search_flops", "train_flops"),
)
PLACE = ("granularity", "weights", "target", "shots")


def judged(view: View) -> list[dict[str, Any]]:
    """Return every cell with its place among the methods.

    `mark` is "best", "unresolved" (not told apart from the best) or "", among the default variants at the same place
    and budget; `behind` is the best minus the cell, paired by seed, with its 95 % interval's half width. Variants and
    the dense control have neither. `lost` is the dense control minus the cell. None: there is no such number, or, for
    half widths, fewer than three seeds.
    """
    rivals: dict[tuple[Any, ...], list[Record]] = {}
    for cell in _rivals(view):
        rivals.setdefault((*_place(cell), cell["budget"]), []).append(cell)
    ranked = {}
    for found in rivals.values():
        seeds = [by_seed(view, cell) for cell in found]
        marks = mark_best(seeds)
        best = seeds[marks.index("best")]
        for cell, mark, own in zip(found, marks, seeds, strict=True):
            ranked[id(cell)] = {"mark": mark, **_difference("behind", best, own)}
    unranked = {"mark": "", "behind": None, "behind_half": None}
    return [cell | ranked.get(id(cell), unranked) | _lost(view, cell) for cell in view.summary["cells"]]


def by_seed(view: View, cell: Record) -> dict[int, float]:
    """Return a cell's accuracies by search seed."""
    return {seed: value for seed, value in zip(view.seeds, cell["by_seed"], strict=True) if value is not None}


def _rivals(view: View) -> Iterator[Record]:
    for cell in view.summary["cells"]:
        if cell["method"] != DENSE and not cell["variant"]:
            yield cell


def _lost(view: View, cell: Record) -> dict[str, float | None]:
    dense = None if cell["method"] == DENSE else view.dense(*_place(cell))
    return _difference("lost", by_seed(view, dense) if dense else {}, by_seed(view, cell))


def _difference(name: str, first: Mapping[int, float], second: Mapping[int, float]) -> dict[str, float | None]:
    found = None if first is second else paired(first, second)
    return {name: None, f"{name}_half": None} if found is None else {name: found.mean, f"{name}_half": found.half}


def _place(cell: Record) -> tuple[Any, ...]:
    return tuple(cell[name] for name in PLACE)
