"""Beside the steps: the learning rates of one budget, chosen on the source for all methods alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
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
    """Try the candidate rates on random architectures of one budget; returns the mean accuracies and the best rates.

    The rate of source training is judged on the source's validation part. Those of the few-shot recipes are judged on
    a transfer inside the source: half of its classes are trained on with the rate just chosen, few examples of the
    other half are trained on next, and these classes' validation images tell. No target is read, and the architectures
    are drawn at random layer ratios, so that no method's own are favoured.
    """
    spec = job.spec
    trials = [trial for seed in spec.seeds or [spec.seed] for trial in _trials(spec, seed, context)]
    rates = {"training": _best(spec.training, spec, lambda lr: [one.trained(lr) for one in trials])}
    context.progress(job.label, 1 / 3)
    if spec.finetune is not None:
        recipe, training = spec.finetune, rates["training"].lr
        for one in trials:
            one.train_on_half(training)
        rates["finetune"] = _best(recipe, spec, lambda lr: [one.few_shot(_at(recipe, lr)) for one in trials])
        context.progress(job.label, 2 / 3)
    if spec.scratch is not None:
        scratch = spec.scratch
        for one in trials:
            one.draw_anew()
        rates["scratch"] = _best(scratch, spec, lambda lr: [one.few_shot(_at(scratch, lr)) for one in trials])
    context.progress(job.label, 1.0)
    return JobOutput(Tuned(rates=rates))


@dataclass
class _Trial:
    """One random architecture of one seed, on which rates are tried."""

    source: Source
    space: SearchSpace
    large: nn.Module
    mask: Tensor
    draws: list[Draw]
    seen: list[int]
    network: nn.Module | None = None
    held: Masks = field(default_factory=dict)

    def draw_anew(self) -> None:
        """Take new weights."""
        self.network, self.held = reinitialised(self.space, self.large, self.mask, self.source.seed, self.source.device)

    def trained(self, lr: float) -> float:
        """Return the validation accuracy of new weights that are trained on the source at a rate."""
        self.draw_anew()
        assert self.network is not None
        trained_on(self.network, self.source.train, _at(self.source.recipe, lr), self.source.seed, self.held)
        return accuracy(self.network, self.source.validation)

    def train_on_half(self, lr: float) -> None:
        """Train new weights on one half of the source's classes."""
        self.draw_anew()
        assert self.network is not None
        half = relabelled(self.source.train, self.seen)
        trained_on(self.network, half, _at(self.source.recipe, lr), self.source.seed, self.held)

    def few_shot(self, recipe: Recipe) -> float:
        """Return the mean accuracy of a recipe over the draws from the other half."""
        assert self.network is not None
        accuracies = adapt(self.network, self.draws, recipe, self.held)
        return sum(accuracies) / len(accuracies)


def _trials(spec: TuneSpec, seed: int, context: Context) -> list[_Trial]:
    source = open_source(spec.model_copy(update={"seed": seed}), context)
    large = source.large_model()
    space = build_space(large, source.example().to(source.device), spec.granularity, spec.cost)
    # The large model is one architecture.
    count = 1 if spec.budget == 1 else spec.architectures
    seen, unseen = _halves(source)
    draws = _draws(source, unseen, spec) if spec.finetune is not None or spec.scratch is not None else []
    masks = [_random(space, spec.budget, seed, number) for number in range(count)]
    return [_Trial(source, space, large, mask, draws, seen) for mask in masks]


def _best(recipe: Recipe, spec: TuneSpec, measured: Callable[[float], list[float]]) -> Choice:
    """Try the candidates, and more beyond the edge while the best is there."""
    found = {recipe.lr * factor: measured(recipe.lr * factor) for factor in sorted(spec.factors)}
    for _ in range(spec.extensions if len(found) > 1 else 0):
        rates, best = sorted(found), _choice(found).lr
        if best not in (rates[0], rates[-1]):
            break
        beyond = rates[0] ** 2 / rates[1] if best == rates[0] else rates[-1] ** 2 / rates[-2]
        found[beyond] = measured(beyond)
    return _choice(found)


def _at(recipe: R, lr: float) -> R:
    return recipe.model_copy(update={"lr": lr})


def _choice(found: Accuracies) -> Choice:
    means = {lr: sum(values) / len(values) for lr, values in sorted(found.items())}
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
