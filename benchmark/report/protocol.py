"""How the numbers of a suite were made, in sentences that are computed from its parameters."""

from collections.abc import Sequence

from benchmark.analysis.grid import methods_of
from benchmark.config.params import DatasetRef, FineTuning, Params, Recipe, SuiteConfig, TargetRef
from benchmark.protocol.controls import DENSE
from benchmark.report.labels import COSTS, label, listing, percent, plural, variant_label


def protocol(params: Params, suite: str) -> list[str]:
    """Return the protocol as a list of short paragraphs: what was done with the large model and the data of `task`."""
    config = params.suites[suite]
    paragraphs = [_grid(config, [m for m in methods_of(params, suite) if m != DENSE]), _modes(config)]
    if config.tuning is not None:
        paragraphs.append(_tuning(config))
    return paragraphs


def task(config: SuiteConfig) -> str:
    """Return the large model and the data, in a paragraph."""
    split, targets = config.data.split, config.data.targets
    model = config.model
    width = "its usual width" if model.width == 1 else f"{model.width:g} times its usual width"
    large = f"{model.name} at {width}" if model.library == "own" else model.name
    if model.options:
        large += f" ({', '.join(f'{name} = {value}' for name, value in model.options.items())})"
    if model.trained:
        large += ", pretrained elsewhere"
    text = (
        f"Large model: {large}. Source: {_dataset(config.data.source)}, of which "
        f"{percent(split.train)} train, {percent(split.validation)} validation and the rest test. "
        f"{'Target' if len(targets) == 1 else 'Targets'}: "
        + "; ".join(f"{target.label} ({_dataset(target)})" for target in targets)
        + f". Training examples come from {plural(config.data.pool, 'target image')} per class; all others are test."
    )
    exceptions = [f" On {target.label}: {'; '.join(own)}." for target in targets if (own := _own(config, target))]
    return text + "".join(exceptions)


def _own(config: SuiteConfig, target: TargetRef) -> list[str]:
    """What holds on one target instead of what the suite says."""
    found = []
    if target.ways is not None:
        found.append(
            f"every draw is a task of its own, of {target.ways} classes that share the part of their name before the "
            "slash (of any, where names have none)"
        )
    if target.shots is not None:
        found.append(_shots(config.shots(target)))
    if target.draws is not None:
        found.append(plural(target.draws, "draw"))
    if target.pool is not None:
        found.append(f"training examples from {plural(target.pool, 'image')} per class")
    if target.test is not None:
        found.append(f"at most {plural(target.test, 'test image')} per class")
    if target.steps is not None:
        found.append(plural(target.steps, "step") + " of few-shot training")
    if target.batch is not None:
        found.append(f"batches of {plural(target.batch, 'image')}")
    return found


def _grid(config: SuiteConfig, pruners: Sequence[str]) -> str:
    budgets = listing([percent(b) for b in sorted(config.grid.budgets, reverse=True)])
    text = (
        f"{plural(len(pruners), 'pruner').capitalize()} search on the source only, for "
        f"{listing(config.grid.granularities)} pruning, and keep at most {budgets} of the "
        f"{COSTS[config.grid.costs[0]]}; budgets are met exactly, from below. "
        f"{plural(len(config.grid.seeds), 'search seed').capitalize()}, and "
        f"{plural(config.transfer.draws, 'draw')} of the target examples for each seed and each of "
        f"{_shots(sorted(config.transfer.shots))}. For equal seeds all methods share "
        "initial weights, splits, draws, head and order of batches, so that comparisons are paired."
    )
    chosen = [
        f"{label(pruner)}: {listing([variant_label(v) for v in variants]) if variants else 'none'}"
        for pruner in pruners
        if (variants := config.method(pruner).variants) is not None
    ]
    return text + (f" Variants chosen for this suite: {'; '.join(chosen)}." if chosen else "")


def _modes(config: SuiteConfig) -> str:
    transfer = config.transfer
    tuned = "measured on frozen features"
    if transfer.finetune is not None:
        tuned = f"new head, fine-tuned on the target ({_recipe(config, transfer.finetune)})"
    taught = {
        "none": "",
        "logits": ", under the pretrained large model as a teacher (logits)",
        "structured": ", under the pretrained large model as a teacher (logits and structure)",
    }[transfer.distil]
    modes = {
        "fresh": f"fresh: re-initialised, trained on the source ({_recipe(config, config.training)}{taught}), {tuned}",
        "scratch": (
            "scratch: re-initialised, without the source"
            + (f", trained on the target examples ({_recipe(config, transfer.scratch)})" if transfer.scratch else "")
        ),
        "inherit": f"inherit: the pruner's own weights, {tuned}",
    }
    return "Weights modes: " + "; ".join(modes[mode] for mode in transfer.weights) + "."


def _tuning(config: SuiteConfig) -> str:
    tuning = config.tuning
    assert tuning is not None
    return (
        "Learning rates are chosen for the large model and for every granularity and budget, once for all methods. "
        f"Each candidate is tried on {plural(tuning.architectures, 'random architecture')} of the budget that no "
        f"method proposed, with the source split and initial weights of {plural(len(tuning.seeds), 'seed')}. A rate of "
        "source training is judged by the source's validation part, one of few-shot training by a transfer inside the "
        "source, from half of its classes to few examples of the others. No target is read for it."
    )


def _dataset(ref: DatasetRef) -> str:
    text = ref.name
    if ref.classes is not None:
        names = [str(c) if isinstance(c, int) else f"{' + '.join(map(str, c))} as one" for c in ref.classes]
        text += f", classes {listing(names)}"
    extras = [ref.channels or "", f"{ref.size} × {ref.size} pixels" if ref.size else ""]
    return ", ".join(filter(None, [text, *extras]))


def _recipe(config: SuiteConfig, recipe: Recipe) -> str:
    rate = f"learning rate {recipe.lr:g}"
    if config.tuning is not None:
        tried = [f"{recipe.lr * factor:g}" for factor in sorted(config.tuning.factors)]
        rate = f"learning rate chosen among {listing(tried)}"
    details = [f"{recipe.steps} steps of {recipe.batch} images", "SGD", rate]
    if recipe.flip:
        details.append("images mirrored at random")
    if recipe.precision != "float32":
        details.append(f"in {recipe.precision}")
    if isinstance(recipe, FineTuning) and recipe.trained == "head":
        details.append("only the new head is trained, a linear probe")
    return ", ".join(details)


def _shots(shots: Sequence[int]) -> str:
    return f"{listing([str(number) for number in shots])} {'shot' if shots == [1] else 'shots'} per class"
