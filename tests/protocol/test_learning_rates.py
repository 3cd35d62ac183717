"""The choice of learning rates: what is tried, what decides, and that only the source's own examples are asked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lab import FINETUNE, RECIPE, VGG, WIDE, Lab, changed, pixels
from torch import Tensor, nn

from benchmark import data, models, seeds
from benchmark.config.params import DatasetRef, FineTuning, ModelRef, Recipe
from benchmark.jobs.specs import TuneSpec
from benchmark.protocol import learning_rates as protocol
from benchmark.protocol import source as source_module
from benchmark.protocol.fewshot import Draw
from benchmark.protocol.source import Source, open_source, trained_on
from benchmark.space import build_space
from benchmark.training.loop import Task, accuracy, on_device

GRANULARITIES = pytest.mark.parametrize("granularity", ["channel", "weight"])


@dataclass
class Watched:
    """What a computation trained: (rate, task) on the source, (rate, draws, network) on few examples."""

    source: list[tuple[float, Task]] = field(default_factory=list)
    few: list[tuple[float, list[Draw], nn.Module]] = field(default_factory=list)
    masks: list[Mapping[str, Tensor]] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    found = Watched()
    train, adapt, measure = protocol.trained_on, protocol.adapt, protocol.accuracy

    def spy_train(network: nn.Module, task: Task, recipe: Recipe, seed: int, masks: Mapping[str, Tensor]) -> int:
        found.source.append((recipe.lr, task))
        return train(network, task, recipe, seed, masks)

    def spy_adapt(network: nn.Module, draws: list[Draw], recipe: Recipe, masks: Mapping[str, Tensor]) -> list[float]:
        found.few.append((recipe.lr, draws, network))
        found.masks.append(masks)
        return adapt(network, draws, recipe, masks)

    def spy_accuracy(network: nn.Module, task: Task) -> float:
        found.accuracies.append(measure(network, task))
        return found.accuracies[-1]

    monkeypatch.setattr(protocol, "trained_on", spy_train)
    monkeypatch.setattr(protocol, "adapt", spy_adapt)
    monkeypatch.setattr(protocol, "accuracy", spy_accuracy)
    return found


def test_the_best_mean_is_chosen_and_of_equals_the_smallest_rate() -> None:
    found = {0.1: [0.2, 0.5], 0.2: [0.5, 0.25], 0.4: [0.25, 0.5]}
    assert protocol._choice(found).model_dump() == {
        "lr": 0.2,
        "tried": [{"lr": 0.1, "accuracy": 0.35}, {"lr": 0.2, "accuracy": 0.375}, {"lr": 0.4, "accuracy": 0.375}],
    }
    # The best single value does not decide.
    assert protocol._choice({0.1: [0.5, 0.5], 0.2: [0.9, 0.0]}).lr == 0.1


@given(
    st.dictionaries(
        st.floats(1e-4, 10), st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=2), min_size=1
    )
)
def test_no_rate_that_was_tried_is_better_than_the_chosen(found: dict[float, list[float]]) -> None:
    chosen = protocol._choice(found)
    means = {entry.lr: entry.accuracy for entry in chosen.tried}
    assert means == {lr: sum(values) / 2 for lr, values in found.items()}
    assert all(means[lr] < means[chosen.lr] or (means[lr] == means[chosen.lr] and lr >= chosen.lr) for lr in means)


@GRANULARITIES
def test_what_is_tried_is_each_recipe_s_rate_times_the_factors(lab: Lab, watched: Watched, granularity: str) -> None:
    reports: list[float] = []
    job = lab.tune(granularity)
    output = protocol.compute(job, replace(lab.context, progress=lambda _, share: reports.append(share)))
    assert not output.files
    rates = output.values.rates
    assert list(rates) == ["training", "finetune", "scratch"]
    for kind, own in (("training", RECIPE["lr"]), ("finetune", FINETUNE["lr"]), ("scratch", FINETUNE["lr"])):
        assert [entry.lr for entry in rates[kind].tried] == pytest.approx([0.1 * own, own])
        best = max(entry.accuracy for entry in rates[kind].tried)
        assert best == next(entry.accuracy for entry in rates[kind].tried if entry.lr == rates[kind].lr)
    # Twenty steps at a tenth of the rate learn less: there is something to choose.
    assert rates["training"].lr == RECIPE["lr"]
    # Two architectures: trained at both rates on all classes, then once on half of them at the rate just chosen.
    low, high = (entry.lr for entry in rates["training"].tried)
    assert [lr for lr, _ in watched.source] == [low, low, high, high, high, high]
    tried = rates["training"].tried
    for number, entry in enumerate(tried):
        assert entry.accuracy == (watched.accuracies[2 * number] + watched.accuracies[2 * number + 1]) / 2
    # Fine-tuning and training from scratch: two architectures at both rates, on the four tasks of two shots.
    low, high = (entry.lr for entry in rates["finetune"].tried)
    assert [lr for lr, *_ in watched.few] == [low, low, high, high] * 2
    assert all([draw.shots for draw in draws] == [1, 1, 5, 5] for _, draws, _ in watched.few)
    assert reports == sorted(reports) and reports[-1] == 1
    # Pruned weights are held at zero in all of it.
    assert all(bool(masks) == (granularity == "weight") for masks in watched.masks)
    for (_, _, network), masks in zip(watched.few, watched.masks, strict=True):
        assert all(bool((network.get_parameter(name)[mask == 0] == 0).all()) for name, mask in masks.items())


def test_fine_tuning_goes_on_from_the_half_that_was_trained_on(lab: Lab, watched: Watched) -> None:
    lab.again(lab.tune())
    tuned, scratch = watched.few[:4], watched.few[4:]
    for (_, _, one), (_, _, other) in zip(tuned, scratch, strict=True):
        first = {name: tensor for name, tensor in one.state_dict().items() if name.endswith("0.weight")}
        assert first and not any(torch.equal(tensor, other.state_dict()[name]) for name, tensor in first.items())


def test_without_scratch_weights_no_rate_is_chosen_for_them(lab: Lab) -> None:
    job = lab.tune()
    job = changed(job, scratch=None, finetune={**FINETUNE, "trained": "head"})
    assert list(lab.again(job).values.rates) == ["training", "finetune"]


def test_the_large_model_is_one_architecture_and_its_rate_that_of_a_plain_training(lab: Lab, watched: Watched) -> None:
    job = lab.tune(budget=1.0, architectures=3)
    rates = lab.again(job).values.rates
    assert len(watched.source) == 2 + 1 and len(watched.few) == 2 + 2
    source = open_source(job.spec, lab.context)
    for entry in rates["training"].tried:
        network = on_device(models.build(ModelRef(**VGG), 1, 5, 8), "cpu")
        models.initialise(network, seeds.derive(0, "retrain"))
        trained_on(network, source.train, Recipe(**{**RECIPE, "lr": entry.lr}), 0)
        assert entry.accuracy == accuracy(network, source.validation)


@GRANULARITIES
@pytest.mark.parametrize("budget", [0.5, 0.1, 0.03])
def test_the_architectures_are_random_and_meet_the_budget(lab: Lab, granularity: str, budget: float) -> None:
    source = open_source(lab.tune().spec, lab.context)
    space = build_space(source.large_model(), source.example(), granularity)
    masks = [protocol._random(space, budget, seed, number) for seed, number in ((0, 0), (0, 1), (1, 0))]
    assert torch.equal(masks[0], protocol._random(space, budget, 0, 0))
    assert len({mask.numpy().tobytes() for mask in masks}) == 3
    for mask in masks:
        assert 0.8 * budget < space.complexity(mask) <= budget
        assert all(bool(part.any()) for part in mask.split(space.sizes))
    assert bool(protocol._random(space, 1.0, 0, 0).all())


def test_equal_seeds_give_equal_rates(lab: Lab) -> None:
    job = lab.tune("weight", 0.1)
    once = lab.again(job).values
    torch.manual_seed(7)
    assert lab.again(job).values == once
    assert lab.again(lab.tune("weight", 0.1, seed=1)).values.rates != once.rates


# What is read


def rows(task: Task) -> set[int]:
    assert task.rows is not None
    return set(task.rows.tolist())


def test_the_halves_share_no_class_and_the_tasks_stay_in_their_parts(lab: Lab, watched: Watched) -> None:
    job = lab.tune()
    lab.again(job)
    source = open_source(job.spec, lab.context)
    whole = data.open_prepared(DatasetRef(**WIDE), lab.context.data_root)
    seen = [set(whole.labels[task.rows].tolist()) for _, task in watched.source[-2:] if task.rows is not None]
    assert len(seen) == 2 and seen[0] == seen[1] and len(seen[0]) == 3
    for lr, task in watched.source:
        assert rows(task) <= rows(source.train) and lr > 0
    for _, draws, _ in watched.few:
        for draw in draws:
            assert draw.classes == 2
            assert rows(draw.train) <= rows(source.train) and rows(draw.test) <= rows(source.validation)
            assert not rows(draw.train) & rows(draw.test)
            for part in (draw.train, draw.test):
                assert part.rows is not None
                origin = whole.labels[part.rows]
                assert set(origin.tolist()) == set(range(5)) - seen[0]
                # Each new label is one of the old ones.
                assert len({*zip(origin.tolist(), part.labels.tolist(), strict=True)}) == 2
            assert draw.train.labels.bincount().tolist() == [draw.shots] * 2
    drawn = [draw for _, draws, _ in watched.few for draw in draws][:4]
    assert len({draw.seed for draw in drawn}) == 4
    assert not torch.equal(pixels(drawn[2].train), pixels(drawn[3].train))


def test_neither_a_target_nor_the_source_s_test_part_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lab.tune()
    assert lab.digests["target"] not in str(job.spec) and not job.inputs
    once = lab.again(job).values
    opened: list[str] = []
    open_prepared = source_module.data.open_prepared

    def spy(ref: DatasetRef, root: Any) -> Any:
        opened.append(str(ref.classes))
        return open_prepared(ref, root)

    def untestable(spec: TuneSpec, context: Any) -> Source:
        return replace(open_source(spec, context), test=None)  # type: ignore[arg-type]

    source_module._parts.cache_clear()
    monkeypatch.setattr(source_module.data, "open_prepared", spy)
    monkeypatch.setattr(protocol, "open_source", untestable)
    assert lab.again(job).values == once
    assert opened == [str(WIDE["classes"])]


def test_what_the_validation_part_says_decides(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With spoiled validation labels the networks are the same, and only what they are judged by is another."""

    def spoiled(spec: TuneSpec, context: Any) -> Source:
        source = open_source(spec, context)
        return replace(source, validation=replace(source.validation, labels=source.validation.labels.flip(0)))

    once = lab.again(lab.tune()).values.rates["training"].tried
    monkeypatch.setattr(protocol, "open_source", spoiled)
    after = lab.again(lab.tune()).values.rates["training"].tried
    assert [entry.lr for entry in after] == [entry.lr for entry in once]
    # One of five is right by chance.
    assert max(entry.accuracy for entry in after) < 0.3 < max(entry.accuracy for entry in once)


def test_every_unseen_class_is_measured_also_where_the_set_lies_class_by_class(lab: Lab) -> None:
    source = open_source(lab.tune().spec, lab.context)
    labels = torch.arange(4).repeat_interleave(protocol.EXAMPLES)
    whole = Task(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels, torch.zeros(1), torch.ones(1))
    folder = replace(source, train=whole, validation=whole)
    (draw,) = protocol._draws(folder, [1, 3], lab.tune(shots=[1], draws=1).spec)
    assert draw.test.labels.bincount().tolist() == [protocol.EXAMPLES / 2] * 2


def test_classes_come_in_turn_as_long_as_they_have_images() -> None:
    assert protocol._in_turn(torch.tensor([1, 1, 1, 0, 2, 0])).tolist() == [3, 0, 4, 5, 1, 2]


def test_recipes_arrive_as_they_are(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes: list[Recipe] = []
    adapt = protocol.adapt

    def spy(network: nn.Module, draws: list[Draw], recipe: Recipe, masks: Mapping[str, Tensor]) -> list[float]:
        recipes.append(recipe)
        return adapt(network, draws, recipe, masks)

    monkeypatch.setattr(protocol, "adapt", spy)
    finetune = {**FINETUNE, "trained": "head", "flip": True}
    lab.again(lab.tune(budget=1.0, finetune=finetune, factors=[2.0]))
    assert recipes == [FineTuning(**{**finetune, "lr": 0.1}), Recipe(**{**FINETUNE, "lr": 0.1})]


def test_the_grid_grows_while_its_best_rate_is_at_an_edge(lab: Lab) -> None:
    """Of a curve with its peak at 0.8 the rates 0.05, 0.1 and 0.2 see a slope only; one more is tried at a time."""
    asked: list[float] = []

    def measured(lr: float) -> list[float]:
        asked.append(round(lr, 6))
        return [1 - abs(math.log(lr / 0.8))]

    spec = lab.tune(factors=[0.5, 1.0, 2.0], extensions=5).spec
    found = protocol._best(Recipe(steps=1, batch=1, lr=0.1), spec, measured)
    assert found.lr == pytest.approx(0.8) and asked == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert [entry.lr for entry in found.tried] == pytest.approx(asked)
    short = protocol._best(Recipe(steps=1, batch=1, lr=0.1), spec.model_copy(update={"extensions": 1}), measured)
    assert short.lr == pytest.approx(0.4)


def test_it_grows_downwards_too(lab: Lab) -> None:
    spec = lab.tune(factors=[1.0, 2.0], extensions=3).spec
    found = protocol._best(Recipe(steps=1, batch=1, lr=0.1), spec, lambda lr: [-abs(math.log(lr / 0.05))])
    assert [entry.lr for entry in found.tried] == pytest.approx([0.025, 0.05, 0.1, 0.2])
    assert found.lr == pytest.approx(0.05)


def test_every_seed_is_tried(lab: Lab, watched: Watched) -> None:
    lab.again(lab.tune(finetune=None, scratch=None, seeds=[0, 1], factors=[1.0], architectures=1))
    assert len(watched.source) == 2 and len(watched.few) == 0
