"""How alike the architectures of one suite are: between search seeds, and from one budget to the next."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from torch import Tensor

from benchmark.jobs.results import Searched
from benchmark.pipeline.plan import Plan
from benchmark.space.architecture import Architecture

Masks = Mapping[str, Tensor]  # bool, by group; the groups in one order and of one size each


def likeness_of(plan: Plan, method: str) -> dict[str, Any]:
    """Return `overlaps` and `nested` of a method's searches, read from the architectures they left in the store.

    `overlaps`: per variant, granularity and budget the means of `overlap` over the pairs of seeds; none with one seed.
    `nested`: per variant, granularity, seed and budget but the largest, `kept_too` in the next larger budget's.
    """
    masks: dict[tuple[str, str], dict[int, dict[float, Masks]]] = {}
    for search in plan.searches(method):
        found = plan.store.get(search.job.key)
        masks.setdefault((search.variant, search.granularity), {})[search.seed] = {
            entry.budget: Architecture.load(found.files[entry.file]).masks
            for entry in sorted(found.read(Searched).architectures, key=lambda entry: -entry.budget)
        }
    overlaps: list[dict[str, Any]] = []
    nested: list[dict[str, Any]] = []
    for (variant, granularity), by_seed in masks.items():
        place = {"variant": variant, "granularity": granularity}
        for budget in next(iter(by_seed.values())):
            among = [by_budget[budget] for by_budget in by_seed.values()]
            overlaps += [{**place, "budget": budget, **_mean_overlap(among)}] if len(among) > 1 else []
        for seed, by_budget in by_seed.items():
            for larger, budget in pairwise(by_budget):
                share = kept_too(by_budget[budget], by_budget[larger])
                nested.append({**place, "seed": seed, "budget": budget, "share": share})
    return {"overlaps": overlaps, "nested": nested}


def overlap(first: Masks, second: Masks) -> tuple[float, float]:
    """Return the share of kept units that two architectures have in common, and what chance alone would give.

    The share is that of the mean of both numbers of units. By chance, two draws of k and l among the m units of a group
    have k l / m in common.
    """
    kept = [(int(first[name].sum()), int(second[name].sum()), first[name].numel()) for name in first]
    common = sum(int((first[name] & second[name]).sum()) for name in first)
    total = sum(k + other for k, other, _ in kept) / 2
    return common / total, sum(k * other / size for k, other, size in kept) / total


def kept_too(small: Masks, large: Masks) -> float:
    """Return the share of the units of `small` that `large` keeps too."""
    return sum(int((small[name] & large[name]).sum()) for name in small) / sum(int(m.sum()) for m in small.values())


def _mean_overlap(among: Sequence[Masks]) -> dict[str, Any]:
    pairs = [overlap(*pair) for pair in combinations(among, 2)]
    shares, chances = zip(*pairs, strict=True)
    return {"pairs": len(pairs), "share": sum(shares) / len(pairs), "chance": sum(chances) / len(pairs)}
