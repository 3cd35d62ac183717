"""Few-shot tasks and the training on them: which rows of a set they are, and what a linear probe changes."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lab import FINETUNE, RESNET, TARGET, VGG, Lab, drawn, pixels
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark import models, seeds
from benchmark.config.params import DatasetRef, FineTuning, Recipe
from benchmark.data import ImageData
from benchmark.data.splits import draw_shots, draw_ways, split_target
from benchmark.protocol import fewshot, target
from benchmark.protocol.fewshot import Draw, adapt, relabelled
from benchmark.protocol.source import Source, open_source, opened
from benchmark.training.loop import Task, accuracy, stacked_batches

PROBE = FineTuning(steps=6, batch=7, lr=0.3, weight_decay=0.01, clip=0.5, trained="head", shift=1)


def numbered(labels: list[int]) -> Task:
    """Image i has the pixel value i."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Task(images, torch.tensor(labels, dtype=torch.int64), torch.zeros(1), torch.ones(1))


def content(task: Task) -> list[tuple[int, int]]:
    return list(zip(pixels(task).flatten().tolist(), task.labels.tolist(), strict=True))


# Parts of a task


def test_classes_become_numbers_in_the_order_given() -> None:
    task = numbered([2, 0, 1, 2, 1, 0])
    part = relabelled(task, [2, 0])
    assert content(part) == [(0, 0), (1, 1), (3, 0), (5, 1)]
    assert content(relabelled(task, [1])) == [(2, 0), (4, 0)]
    assert content(relabelled(part, [1])) == [(1, 0), (5, 0)]
    assert content(relabelled(task.subset(torch.tensor([5, 4, 3, 3])), [2, 0])) == [(5, 1), (3, 0), (3, 0)]
    assert part.images is task.images and part.mean is task.mean and part.std is task.std


@given(data=st.data(), labels=st.lists(st.integers(0, 5), min_size=6, max_size=40))
def test_parts_of_parts_are_what_lists_say(data: st.DataObject, labels: list[int]) -> None:
    task, expected = numbered(labels), list(enumerate(labels))
    for _ in range(data.draw(st.integers(1, 4))):
        known = sorted({label for _, label in expected})
        if data.draw(st.booleans()):
            chosen = data.draw(st.permutations(known))[: data.draw(st.integers(1, len(known)))]
            task = relabelled(task, chosen)
            expected = [(value, chosen.index(label)) for value, label in expected if label in chosen]
        else:
            index = data.draw(st.lists(st.integers(0, len(expected) - 1), min_size=1, max_size=20))
            task = task.subset(torch.tensor(index))
            expected = [expected[row] for row in index]
        assert content(task) == expected and len(task) == len(expected)


# Few-shot tasks


@pytest.fixture
def source(lab: Lab) -> Source:
    return open_source(lab.pretrain().spec, lab.context)


@pytest.fixture
def whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    """The target set, mapped once for a test and for all that it draws."""
    images = opened(DatasetRef(**TARGET), lab.digests["target"], lab.context.data_root)
    target._parts.cache_clear()
    monkeypatch.setattr(target, "opened", lambda *_: images)
    return images


def seen(task: Task) -> set[bytes]:
    return {image.numpy().tobytes() for image in pixels(task)}


def test_a_draw_copies_no_pixels(lab: Lab, source: Source, whole: ImageData) -> None:
    for changes in ({}, {"ways": 2, "test": 5}):
        draws = drawn(lab.tasks(**changes), 0, source, lab.context.data_root)
        assert len(draws) == 4
        for draw in draws:
            for part in (draw.train, draw.test):
                assert part.images.data_ptr() == whole.images.data_ptr() and part.images.shape == whole.images.shape
                assert not part.images.untyped_storage().resizable()  # the file's memory, not torch's
                assert part.rows is not None and len(part.rows) == len(part)


def test_every_draw_with_ways_is_a_task_of_its_own(lab: Lab, source: Source, whole: ImageData) -> None:
    target = lab.tasks(ways=2, shots=[1, 3], draws=8, pool=6, test=9)
    draws = drawn(target, 5, source, lab.context.data_root)
    split = split_target(whole.labels, 6, seeds.derive(5, "target", "digits-3-5"), whole.groups, 9)
    chosen = {}
    for draw in draws:
        classes = draw_ways(whole.classes, 2, seeds.derive(5, "ways", "digits-3-5"), draw.draw)
        assert draw.classes == 2 == len(classes)
        assert draw.train.labels.bincount().tolist() == [draw.shots] * 2
        assert draw.test.labels.bincount().tolist() == [9, 9]
        # Label for label: which images of the whole set these are.
        for part, origin in ((draw.train, split.pool), (draw.test, split.test)):
            assert part.rows is not None
            assert [classes[label] for label in part.labels.tolist()] == whole.labels[part.rows].tolist()
            assert set(part.rows.tolist()) <= set(origin.tolist())
        index = draw_shots(whole.labels, split.pool, draw.shots, seeds.derive(5, "shots", "digits-3-5"), draw.draw)
        assert draw.train.rows is not None
        assert draw.train.rows.tolist() == [row for row in index.tolist() if int(whole.labels[row]) in classes]
        assert not seen(draw.train) & seen(draw.test)
        # The same classes for every number of shots.
        assert chosen.setdefault(draw.draw, classes) == classes
    assert [(draw.shots, draw.draw) for draw in draws] == [(shots, draw) for shots in (1, 3) for draw in range(8)]
    assert len({tuple(sorted(classes)) for classes in chosen.values()}) > 1
    again = drawn(target, 5, source, lab.context.data_root)
    assert all(torch.equal(one.train.labels, other.train.labels) for one, other in zip(draws, again, strict=True))
    other = drawn(target, 6, source, lab.context.data_root)
    assert any(seen(one.train) != seen(another.train) for one, another in zip(draws, other, strict=True))


def test_a_capped_test_part_is_part_of_the_whole_one(lab: Lab, source: Source, whole: ImageData) -> None:
    full, capped = (drawn(lab.tasks(test=most), 0, source, lab.context.data_root) for most in (10**6, 11))
    uncapped = drawn(lab.tasks(), 0, source, lab.context.data_root)
    for one, two, three in zip(full, capped, uncapped, strict=True):
        assert one.test.rows is not None and two.test.rows is not None and three.test.rows is not None
        assert torch.equal(one.test.rows, three.test.rows)
        assert two.test.labels.bincount().tolist() == [11] * 3
        assert set(two.test.rows.tolist()) < set(one.test.rows.tolist())
        assert torch.equal(pixels(one.train), pixels(two.train))


def test_a_job_of_few_ways_is_computed(lab: Lab) -> None:
    """All the way: two of three classes, in every draw others, with a network that has a head for two."""
    recipe = {"steps": 30, "batch": 20, "lr": 0.05, "norm_momentum": 0.5}
    job = lab.transfer(lab.search("dense"), "inherit", ways=2, shots=[10], draws=3, recipe=recipe)
    results = lab.again(job).values.results
    # Guessing gives a half.
    assert [result.accuracy > 0.75 for result in results] == [True] * 3


# Linear probes


@pytest.fixture(params=[VGG, RESNET], ids=["vgg16", "resnet20"])
def pretrained(request: pytest.FixtureRequest, lab: Lab) -> nn.Module:
    source = open_source(lab.pretrain(model=request.param).spec, lab.context)
    network = source.large_model()
    network.load_state_dict(lab.pretrained(model=request.param))
    return network.eval()


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """What every network is measured with."""
    found: list[dict[str, Tensor]] = []
    run = fewshot.run

    def spy(template: nn.Module, state: dict[str, Tensor], images: Tensor) -> Tensor:
        found.append(state)
        return run(template, state, images)

    monkeypatch.setattr(fewshot, "run", spy)
    return found


def probed_by_hand(network: nn.Module, draw: Draw, recipe: Recipe) -> nn.Linear:
    """Nesterov SGD on the features of the frozen network, one plain linear layer at a time."""
    models.replace_head(network, draw.classes, draw.seed)
    head: Any = network.get_submodule(models.head_names(network)[0])
    caught: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].detach()))
    weights = [head.weight.detach().clone(), head.bias.detach().clone()]
    velocity = [torch.zeros_like(value) for value in weights]
    data = stacked_batches([draw.train], recipe, [seeds.generator(draw.seed, "order")])
    warm = round(recipe.warmup * recipe.steps)
    for step, (images, labels) in enumerate(data):
        with torch.no_grad():
            network(images[0])
        leaves = [value.clone().requires_grad_() for value in weights]
        loss = F.cross_entropy(caught.pop() @ leaves[0].T + leaves[1], labels[0])
        gradients = torch.autograd.grad(loss, leaves)
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        rate = (step + 1) / (warm + 1) if step < warm else (1 + math.cos(math.pi * (step - warm) / (6 - warm))) / 2
        for index, gradient in enumerate(gradients):
            moved = gradient * min(1, recipe.clip / norm) + recipe.weight_decay * weights[index]
            velocity[index] = recipe.momentum * velocity[index] + moved
            weights[index] = weights[index] - recipe.lr * rate * (moved + recipe.momentum * velocity[index])
    handle.remove()
    found = nn.Linear(head.in_features, draw.classes)
    found.load_state_dict({"weight": weights[0], "bias": weights[1]})
    return found


def test_a_linear_probe_is_one_linear_layer_on_frozen_features(
    lab: Lab, source: Source, pretrained: nn.Module, states: list[dict[str, Tensor]]
) -> None:
    draws = drawn(lab.tasks(), 0, source, lab.context.data_root)
    found = adapt(pretrained, draws, PROBE, {})
    for draw, state, correct in zip(draws, states, found, strict=True):
        head = probed_by_hand(pretrained, draw, PROBE)
        torch.testing.assert_close(state["head.weight"], head.weight.detach(), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(state["head.bias"], head.bias.detach(), rtol=1e-3, atol=1e-5)
        pretrained.get_submodule("head").load_state_dict(head.state_dict())
        assert correct == pytest.approx(accuracy(pretrained, draw.test), abs=0.005)


def test_a_linear_probe_leaves_the_body_and_its_statistics(
    lab: Lab, source: Source, pretrained: nn.Module, states: list[dict[str, Tensor]]
) -> None:
    before = {name: tensor.clone() for name, tensor in pretrained.state_dict().items()}
    draws = drawn(lab.tasks(), 0, source, lab.context.data_root)
    adapt(pretrained, draws, PROBE, {})
    assert not any(layer.training for layer in pretrained.modules())
    for draw, state in zip(draws, states, strict=True):
        assert {name for name in before if not torch.equal(before[name], state[name])} == {"head.weight", "head.bias"}
        models.replace_head(pretrained, draw.classes, draw.seed)
        assert bool((state["head.weight"] != pretrained.state_dict()["head.weight"]).any())
    assert any(name.endswith("running_mean") for name in before)
    body = [name for name in before if not name.startswith("head.")]
    assert all(torch.equal(pretrained.state_dict()[name], before[name]) for name in body)
    # Fine-tuning all of it changes body and statistics, so the above says something.
    states.clear()
    adapt(pretrained, draws, PROBE.model_copy(update={"trained": "all"}), {})
    moved = {name for name in body if name in states[0] and not torch.equal(before[name], states[0][name])}
    assert any(name.endswith("running_mean") for name in moved) and any(name.endswith("weight") for name in moved)


def test_probes_do_not_depend_on_their_company(lab: Lab, source: Source, pretrained: nn.Module) -> None:
    draws = drawn(lab.tasks(), 0, source, lab.context.data_root)
    together = adapt(pretrained, draws, PROBE, {})
    assert adapt(pretrained, draws, PROBE, {}) == together
    assert [adapt(pretrained, [draw], PROBE, {})[0] for draw in draws] == pytest.approx(together, abs=0.005)


@pytest.mark.parametrize("weights", ["fresh", "inherit"])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_job_of_probes_is_computed(lab: Lab, granularity: str, weights: str) -> None:
    found = lab.search("dense", granularity)
    job = lab.transfer(found, weights, shots=[10], recipe={**FINETUNE, "steps": 60, "trained": "head"})
    results = lab.again(job).values.results
    # Three classes: features of other digits tell these apart better than chance.
    assert min(result.accuracy for result in results) > 0.45


# Precision


Measure = Callable[[FineTuning], list[Tensor]]


@pytest.fixture
def learnt(lab: Lab, source: Source, pretrained: nn.Module, states: list[dict[str, Tensor]]) -> Measure:
    """The weights, flat, that every draw leaves after a fine-tuning."""

    def measure(recipe: FineTuning) -> list[Tensor]:
        states.clear()
        adapt(
            pretrained,
            drawn(lab.tasks(shots=[5]), 0, source, lab.context.data_root),
            recipe,
            {},
        )
        # Without the counts of batches that norms keep, which a stack has not.
        kept = [[tensor for _, tensor in sorted(state.items()) if tensor.ndim] for state in states]
        assert all(tensor.dtype == torch.float32 for tensors in kept for tensor in tensors)
        return [torch.cat([tensor.flatten() for tensor in tensors]) for tensors in kept]

    return measure


@pytest.mark.parametrize("trained", ["all", "head"])
def test_fine_tuning_in_bfloat16_is_close_to_float32(learnt: Measure, trained: str) -> None:
    recipe = FineTuning(**FINETUNE, trained=trained)
    single, half = learnt(recipe), learnt(recipe.model_copy(update={"precision": "bfloat16"}))
    for one, other in zip(single, half, strict=True):
        assert not torch.equal(one, other)
        assert float((one - other).norm() / one.norm()) < 0.05


def test_stacked_and_one_by_one_are_alike_in_bfloat16(learnt: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = FineTuning(**FINETUNE, precision="bfloat16", flip=True)
    stacked = learnt(recipe)

    def refused(*_: Any) -> None:
        raise fewshot.NotStackable("not in this test")

    monkeypatch.setattr(fewshot, "Replicas", refused)
    alone = learnt(recipe)
    assert len(stacked) == len(alone) == 2
    for one, other in zip(stacked, alone, strict=True):
        assert float((one - other).norm() / one.norm()) < 0.05
