"""The cells of a summary, each with what it is beside the best of its place and beside the dense control."""

from collections.abc import Iterator
from typing import Any

from benchmark.analysis.comparisons import Contrast, against_best, by_seed, compare
from benchmark.analysis.intervals import Paired
from benchmark.analysis.rules import is_rival
from benchmark.protocol.controls import DENSE
from benchmark.report.view import Record, View

FIELDS = (
    *("granularity", "method", "variant", "weights", "target", "budget", "shots"),
    *("accuracy", "half", "seeds", "by_seed", "mark", "behind", "behind_half", "lost", "lost_half"),
    *("complexity", "params", "macs", "pretrain_flops", "search_flops", "train_flops"),
    "rival",
)
PLACE = ("granularity", "weights", "target", "shots")


def judged(view: View) -> list[dict[str, Any]]:
    """Return every cell with its place among the methods.

    `rival`: see `is_rival`. `mark` is "best", "unresolved" (not told apart from the best) or "", among the rivals at
    the same place and budget. `behind` is the best minus the cell, paired by seed, with its 95 % interval's half width.
    Others have neither. `lost` is the dense control minus the cell. None: there is no such number, or, for half widths,
    fewer than three seeds.
    """
    rivals: dict[tuple[Any, ...], list[Record]] = {}
    for cell in filter(is_rival, view.summary["cells"]):
        rivals.setdefault((*_place(cell), cell["budget"]), []).append(cell)
    ranked = {}
    for found in rivals.values():
        judgements = against_best([by_seed(cell, view.seeds) for cell in found])
        for cell, (mark, test) in zip(found, judgements, strict=True):
            ranked[id(cell)] = {"mark": mark, **_difference("behind", test)}
    unranked = {"mark": "", **_difference("behind", None)}
    lost = {one.place["cell"]: one.test for one in compare(_against_dense(view))}
    return [
        cell | ranked.get(id(cell), unranked) | _difference("lost", lost.get(id(cell))) | {"rival": is_rival(cell)}
        for cell in view.summary["cells"]
    ]


def _against_dense(view: View) -> Iterator[Contrast]:
    for cell in view.summary["cells"]:
        dense = None if cell["method"] == DENSE else view.dense(*_place(cell))
        if dense:
            yield Contrast({"cell": id(cell)}, by_seed(dense, view.seeds), by_seed(cell, view.seeds))


def _difference(name: str, test: Paired | None) -> dict[str, float | None]:
    return {name: None, f"{name}_half": None} if test is None else {name: test.mean, f"{name}_half": test.half}


def _place(cell: Record) -> tuple[Any, ...]:
    return tuple(cell[name] for name in PLACE)
