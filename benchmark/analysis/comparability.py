"""The rules of the protocol on what compared methods share, and on what is charged to each (docs/method.md)."""

from itertools import pairwise
from typing import Any

from benchmark.analysis.audit_case import Case, Checked, named
from benchmark.protocol.controls import DENSE

FLOPS_PER_MAC = 2
FLOPS_OF_AN_IMAGE = 3 * FLOPS_PER_MAC  # of training, per MAC: three passes
DIGITS = 1e-4  # relative: summaries have six digits, and two of their numbers are divided
SHARED = ("python", "libraries", "data")


def same_code(case: Case) -> Checked:
    """Identical libraries and data for all methods (Blalock et al. 2020, arXiv 2003.03033)."""
    differing = [
        name
        for name in SHARED
        if any(one.get(name) != other.get(name) for one, other in pairwise(case.main["provenance"].values()))
    ]
    return not differing, f"methods differ in {', '.join(differing)}" if differing else f"{', '.join(SHARED)} agree"


def same_episodes(case: Case) -> Checked:
    """Every mean of the headline is over the same seeds, and as many rows and episodes."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for cell in case.compared():
        seeds = tuple(value is not None for value in cell["by_seed"])
        found.setdefault((seeds, cell["rows"], cell["episodes"]), []).append(named(cell))
    (_, rows, episodes), _ = max(found.items(), key=lambda item: len(item[1]), default=(((), 0, 0), []))
    others = sorted(found.values(), key=len)[:-1]
    if others:
        return False, f"{others[0][0]} has other seeds, rows or episodes than most"
    return True, f"{rows} rows behind every mean, {episodes} episodes per seed"


def same_recipe(case: Case) -> Checked:
    """One recipe for all: what a retraining cost says how many images it saw, whatever the network's size.

    Of a network of M multiply-accumulates, F floating-point operations of training are F / 6M images, and F / (6M + 2L)
    under a teacher of L, which is the large model. The pretraining that some methods ask for is the same for each.
    """
    cells = case.compared()
    large = max((cell["macs"] for cell in cells if cell["method"] == DENSE), default=0)
    of_an_image = [FLOPS_OF_AN_IMAGE * cell["macs"] + case.distilled(cell) * FLOPS_PER_MAC * large for cell in cells]
    images = [cell["train_flops"] / flops for cell, flops in zip(cells, of_an_image, strict=True)]
    most, fewest = max(images, default=0.0), min(images, default=0.0)
    pretrained = {cell["pretrain_flops"] for cell in cells if cell["pretrain_flops"]}
    kept = most - fewest <= DIGITS * most and len(pretrained) <= 1
    seen = f"{most:.0f}" if most - fewest <= DIGITS * most else f"{fewest:.0f} to {most:.0f}"
    under = ", ".join(dict.fromkeys(named(cell) for cell in cells if case.distilled(cell)))
    taught = f"; under a teacher: {under}" if under else ""
    return kept, f"retrained on {seen} images{taught}; pretrainings of different cost: {len(pretrained)}"


def compute_charged(case: Case) -> Checked:
    """Nothing that trains is free: retraining for all, search and pretraining for the methods that need them."""
    from benchmark.pruning.registry import pruners

    known, free = pruners(), []
    for cell in case.compared():
        kind = known.get(cell["method"])
        own = {"train_flops"}
        own |= {"search_flops"} if kind is not None and kind.trains else set()
        asked = kind is not None and kind.uses_pretrained and not cell["variant"]
        own |= {"pretrain_flops"} if asked or case.distilled(cell) else set()
        free += [f"{named(cell)} has no {name}" for name in sorted(own) if not cell[name]]
    return not free, free[0] if free else "search, pretraining and retraining"


def apart(case: Case) -> Checked:
    """No image of a target is one of the source."""
    found = {target: known["near_duplicates"] for target, known in case.main["data"].items()}
    wrong = [
        f"{target}: {'not looked for' if alike is None else '{} images'.format(alike['exact'])}"
        for target, alike in found.items()
        if alike is None or alike["exact"]
    ]
    return not wrong, "; ".join(wrong) if wrong else f"none of {', '.join(found)}"


RULES = {
    "the same libraries and data for all methods": same_code,
    "the same episodes for all methods": same_episodes,
    "the same recipe for all methods": same_recipe,
    "compute is charged": compute_charged,
    "no image of a target is in the source": apart,
}
