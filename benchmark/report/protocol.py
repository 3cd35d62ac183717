"""How the numbers of a suite were made, in sentences that are computed from its parameters."""

from collections.abc import Sequence

from benchmark.config import DatasetRef, Params, Recipe
from benchmark.report.labels import COSTS, percent, plural
from benchmark.stats.grid import DENSE, methods_of


def protocol(params: Params, suite: str) -> list[str]:
    """Return the protocol as a list of short paragraphs."""
    config = params.suites[suite]
    split, transfer = config.data.split, config.transfer
    width = "its usual width" if config.model.width == 1 else f"{config.model.width:g} times its usual width"
    seeds = plural(len(config.grid.seeds), "search seed")
    pruners = [method for method in methods_of(params, suite) if method != DENSE]
    budgets = _listing([percent(b) for b in sorted(config.grid.budgets, reverse=True)])
    paragraphs = [
        f"Large model: {config.model.name} at {width}. Source: {_dataset(config.data.source)}, of which "
        f"{percent(split.train)} train, {percent(split.validation)} validation and the rest test. "
        f"{'Target' if len(config.data.targets) == 1 else 'Targets'}: "
        + "; ".join(f"{target.label} ({_dataset(target)})" for target in config.data.targets)
        + f". Training examples come from {plural(config.data.pool, 'target image')} per class; all others are test.",
        f"{plural(len(pruners), 'pruner').capitalize()} search on the source only, for "
        f"{_listing(config.grid.granularities)} pruning, and keep at most {budgets} of the "
        f"{COSTS[config.grid.cost]}; budgets are met exactly, from below. {seeds.capitalize()}, and "
        f"{plural(transfer.draws, 'draw')} of the target examples for each seed and each of "
        f"{_listing([str(s) for s in sorted(transfer.shots)])} shots per class. For equal seeds all methods share "
        "initial weights, splits, draws, head and order of batches, so that comparisons are paired.",
    ]
    tuned = f"new head, fine-tuned on the target ({_recipe(transfer.finetune)})"
    modes = {
        "fresh": f"fresh: re-initialised, trained on the source ({_recipe(config.training)}), {tuned}",
        "scratch": f"scratch: re-initialised, trained on the target examples only ({_recipe(transfer.scratch)})",
        "inherit": f"inherit: the pruner's own weights, {tuned}",
    }
    paragraphs.append("Weights modes: " + "; ".join(modes[mode] for mode in transfer.weights) + ".")
    return paragraphs


def _dataset(ref: DatasetRef) -> str:
    text = ref.name if ref.classes is None else f"{ref.name}, classes {_listing([str(c) for c in ref.classes])}"
    extras = [ref.channels or "", f"{ref.size} × {ref.size} pixels" if ref.size else ""]
    return ", ".join(filter(None, [text, *extras]))


def _recipe(recipe: Recipe) -> str:
    return f"{recipe.steps} steps of {recipe.batch} images, SGD, learning rate {recipe.lr:g}"


def _listing(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
