"""Beside the steps: the learning rates of one budget, chosen on the source for all methods alike."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.config.params import Recipe
from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.results import Choice, Tried, Tuned
from benchmark.jobs.specs import TuneSpec
from benchmark.jobs.store import Context
from benchmark.protocol.fewshot import Draw, adapt, relabelled
from benchmark.protocol.retrain import Masks, reinitialised
from benchmark.protocol.source import Source, open_source, trained_on
from benchmark.pruning.importance import with_ratios
from benchmark.space import SearchSpace, build_space
from benchmark.training.loop import Task, accuracy

EXAMPLES = 500  # of the held-out half of the classes, to measure a few-shot training on
Accuracies = dict[float, list[float]]
R = TypeVar("R", bound=Recipe)


def compute(job: Job[TuneSpec], context: Context) -> JobOutput:
    """Try every candidate rate on random architectures of one budget; returns the mean accuracies and the best rates.

    The rate of source training is judged on the source's validation part. Those of the few-shot recipes are judged on
    a transfer inside the source: half of its classes are trained on with the rate just chosen, few examples of the
    other half are trained on next, and these classes' validation images tell. No target is read, and the architectures
    are drawn at random layer ratios, so that no method's own are favoured.
    """
    spec = job.spec
    source = open_source(spec, context)
    network = source.large_model()
    space = build_space(network, source.example().to(source.device), spec.granularity, spec.cost)
    masks = [_random(space, spec.budget, spec.seed, number) for number in range(spec.architectures)]
    masks = masks[:1] if spec.budget == 1 else masks
    training: Accuracies = {}
    for mask in masks:
        for lr in _rates(source.recipe, spec):
            sub, held = reinitialised(source, space, network, mask)
            trained_on(sub, source.train, _at(source.recipe, lr), source.seed, held)
            training.setdefault(lr, []).append(accuracy(sub, source.validation))
    rates = {"training": _choice(training)}
    seen, unseen = _halves(source)
    draws = _draws(source, unseen, spec)
    recipes: dict[str, Recipe] = {"finetune": spec.finetune}
    recipes |= {} if spec.scratch is None else {"scratch": spec.scratch}
    for kind, recipe in recipes.items():
        found: Accuracies = {}
        for mask in masks:
            sub, held = reinitialised(source, space, network, mask)
            if kind == "finetune":
                trained_on(
                    sub, relabelled(source.train, seen), _at(source.recipe, rates["training"].lr), source.seed, held
                )
            for lr in _rates(recipe, spec):
                found.setdefault(lr, []).append(_few_shot(sub, draws, _at(recipe, lr), held))
        rates[kind] = _choice(found)
        context.progress(job.label, len(rates) / (1 + len(recipes)))
    return JobOutput(Tuned(rates=rates))


def _rates(recipe: Recipe, spec: TuneSpec) -> list[float]:
    return [recipe.lr * factor for factor in sorted(spec.factors)]


def _at(recipe: R, lr: float) -> R:
    return recipe.model_copy(update={"lr": lr})


def _choice(found: Accuracies) -> Choice:
    means = {lr: sum(values) / len(values) for lr, values in found.items()}
    # Of equally good rates the smallest: the safer one.
    best = max(means, key=lambda lr: (means[lr], -lr))
    return Choice(lr=best, tried=[Tried(lr=lr, accuracy=mean) for lr, mean in means.items()])


def _random(space: SearchSpace, budget: float, seed: int, number: int) -> Tensor:
    if budget == 1:
        return torch.ones(space.n, dtype=torch.bool)
    generator = seeds.generator(seed, "tuning", number)
    scores = torch.rand(space.n, generator=generator, dtype=torch.float64)
    # Not so uneven that a layer starves: what such an architecture says of a learning rate holds for no other.
    ratios = 0.25 + 0.75 * torch.rand(len(space.groups), generator=generator, dtype=torch.float64)
    return space.project(with_ratios(space, scores, ratios), budget)


def _halves(source: Source) -> tuple[list[int], list[int]]:
    """The source's classes in random order, cut in two: what is trained on, and what is then learnt from few."""
    order = torch.randperm(source.classes, generator=seeds.generator(source.seed, "tuning", "classes")).tolist()
    middle = (source.classes + 1) // 2
    return order[:middle], order[middle:]


def _draws(source: Source, classes: list[int], spec: TuneSpec) -> list[Draw]:
    pool = relabelled(source.train, classes)
    test = relabelled(source.validation, classes)
    test = test.subset(_in_turn(test.labels)[:EXAMPLES])
    draws = []
    for shots in spec.shots:
        for number in range(spec.draws):
            own = seeds.derive(source.seed, "tuning", "draw", shots, number)
            draws.append(Draw(shots, number, _shots(pool, shots, len(classes), own), test, len(classes), own))
    return draws


def _in_turn(labels: Tensor) -> Tensor:
    """The order in which every class has its first image, then every class its second: a folder lies class by class."""
    same = labels[:, None] == labels.unique()
    place = same.cumsum(0)[same]
    return torch.argsort(place * (int(labels.max()) + 1) + labels)


def _shots(pool: Task, shots: int, classes: int, seed: int) -> Task:
    generator = seeds.generator(seed, "shots")
    chosen = []
    for label in range(classes):
        members = (pool.labels == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=generator)[:shots].to(members.device)])
    return pool.subset(torch.cat(chosen))


def _few_shot(network: nn.Module, draws: list[Draw], recipe: Recipe, masks: Masks) -> float:
    accuracies = adapt(network, draws, recipe, masks)
    return sum(accuracies) / len(accuracies)
