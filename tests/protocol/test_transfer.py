"""Few-shot transfer: weights modes, draws, heads, and that nothing of a test part is learnt from."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from lab import FINETUNE, RESNET, TARGET, VGG, Lab, changed, drawn, pixels
from torch import Tensor

from benchmark import models
from benchmark.config.params import DatasetRef, FineTuning
from benchmark.jobs.job import Job
from benchmark.protocol import fewshot
from benchmark.protocol import transfer as protocol
from benchmark.protocol.fewshot import Draw, adapt
from benchmark.protocol.source import open_source, opened
from benchmark.space import Architecture, build_space, unpack_state
from benchmark.space.graph.macs import weight_layers
from benchmark.training.loop import Task
from benchmark.training.stacked import NotStackable

Run = Callable[[Job], tuple[Mapping[str, Any], list[Tensor]]]
GRANULARITIES = pytest.mark.parametrize("granularity", ["channel", "weight"])


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Compute a transfer job; also returns what every network measured in it says to the same few images."""
    probe = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    accuracy = fewshot.accuracy
    said: list[Tensor] = []

    def spy(network: Callable[[Tensor], Tensor], task: Task) -> float:
        with torch.no_grad():
            said.append(network(probe))
        return accuracy(network, task)

    def compute(job: Job) -> tuple[Mapping[str, Any], list[Tensor]]:
        said.clear()
        return lab.again(job).values, list(said)

    for module in (protocol, fewshot):
        monkeypatch.setattr(module, "accuracy", spy)
    return compute


def unchanged(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@GRANULARITIES
@pytest.mark.parametrize("weights", ["fresh", "scratch", "inherit"])
@pytest.mark.parametrize("model", [VGG, RESNET], ids=["vgg16", "resnet20"])
def test_every_mode_works_at_both_granularities(
    lab: Lab, run: Run, model: dict[str, Any], weights: str, granularity: str
) -> None:
    found = lab.search("magnitude", granularity, model=model)
    entry = lab.output(found).values.architectures[1]
    values, said = run(lab.transfer(found, weights, 0.1))
    assert [(r.target, r.shots, r.draw) for r in values.results] == [
        ("digits-3-5", shots, draw) for shots in (1, 5) for draw in (0, 1)
    ]
    assert all(0 <= r.accuracy <= 1 for r in values.results)
    assert (values.source_accuracy is None) == (weights == "scratch")
    assert (values.params, values.macs) == (entry.params, entry.macs)
    # Four steps of 15 images; fresh networks saw twenty of 32 before.
    images = 4 * 15 + (20 * 32 if weights == "fresh" else 0)
    assert {result.train_flops for result in values.results} == {6 * entry.macs * images}
    assert all(bool(torch.isfinite(logits).all()) for logits in said)
    few = said[-4:]
    assert not any(torch.equal(few[0], other) for other in few[1:])


def test_few_shots_teach_something(lab: Lab, run: Run) -> None:
    found = lab.search("dense")
    recipe = {"steps": 30, "batch": 30, "lr": 0.05, "norm_momentum": 0.5}
    values, _ = run(lab.transfer(found, "inherit", shots=[10], recipe=recipe))
    assert min(result.accuracy for result in values.results) > 0.6


@GRANULARITIES
def test_a_dense_inherited_network_is_the_pretrained_one(lab: Lab, run: Run, granularity: str) -> None:
    found = lab.search("dense", granularity)
    pretrained = lab.output(lab.pretrain()).values.accuracy.test
    for form in (None, {"dense": True}):
        values, _ = run(lab.transfer(found, "inherit", form=form))
        assert values.source_accuracy == pretrained


@GRANULARITIES
def test_inherit_uses_the_pruners_own_weights(lab: Lab, run: Run, granularity: str) -> None:
    found = lab.search("lottery_ticket", granularity, drop=0.5)
    values, said = run(lab.transfer(found, "inherit", 0.1))
    source = open_source(found.spec, lab.context)
    network = source.large_model()
    space = build_space(network, source.example(), granularity)
    files = lab.context.store.get(found.key).files
    architecture = Architecture.load(files["b10.safetensors"])
    state = unpack_state(space, space.mask(architecture), files["b10.weights.safetensors"].read_bytes())
    network.load_state_dict(state)
    extracted = space.extract(network, architecture).eval()
    probe = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(said[0], extracted(probe))
    fresh, _ = run(lab.transfer(found, "fresh", 0.1))
    assert values.results != fresh.results


@pytest.mark.parametrize("weights", ["fresh", "scratch"])
def test_with_new_weights_equal_widths_are_equal_networks(lab: Lab, run: Run, weights: str) -> None:
    found = lab.search("random")
    kept = lab.output(found).values.architectures[1].kept
    by_mask, said = run(lab.transfer(found, weights, 0.1))
    by_widths, also = run(lab.transfer(found, weights, 0.1, form={"kept": kept}))
    assert by_mask == by_widths and unchanged(said, also)
    (first, *_) = kept
    other, _ = run(lab.transfer(found, weights, 0.1, form={"kept": {**kept, first: kept[first] + 1}}))
    assert other.params > by_mask.params and other.results != by_mask.results


def test_the_weights_modes_start_from_the_same_new_weights(lab: Lab) -> None:
    found = lab.search("random")
    states = []
    for weights in ("fresh", "scratch"):
        job = lab.transfer(found, weights, 0.1)
        network, *_ = protocol._subnetwork(job, lab.context, open_source(job.spec, lab.context))
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@GRANULARITIES
def test_weights_that_were_pruned_stay_zero_and_the_new_head_is_dense(
    lab: Lab, granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lab.search("random", granularity)
    job = lab.transfer(found, "fresh", 0.1, recipe={**FINETUNE, "weight_decay": 0.0})
    trained: list[dict[str, Tensor]] = []
    run_ = fewshot.run

    def spy_run(template: Any, state: dict[str, Tensor], images: Tensor) -> Tensor:
        trained.append(state)
        return run_(template, state, images)

    network, masks, *_ = protocol._subnetwork(job, lab.context, open_source(job.spec, lab.context))
    monkeypatch.setattr(protocol, "run", spy_run)
    lab.again(job)
    assert len(trained) == 4
    assert set(masks) == ({f"{name}.weight" for name in weight_layers(network)} if granularity == "weight" else set())
    for state, draw in zip(trained, draws_of(lab, job), strict=True):
        models.replace_head(network, draw.classes, draw.seed)
        learnt = state["head.weight"] != network.state_dict()["head.weight"]
        # The body's head is masked, the new one is not: also what the mask lacks learns, where a feature is alive.
        pruned = masks.get("head.weight", torch.zeros_like(learnt)) == 0
        assert learnt.shape == (3, 32 if granularity == "weight" else learnt.shape[1])
        assert float(learnt[pruned].float().mean()) > 0.5
        for name, mask in masks.items():
            if name == "head.weight":
                continue
            assert bool((state[name][mask == 0] == 0).all()) and bool((state[name][mask == 1] != 0).any())


def draws_of(lab: Lab, job: Job) -> list[Draw]:
    source = open_source(job.spec, lab.context)
    return drawn(job.spec.targets[0], job.spec.seed, source, lab.context.data_root)


def test_the_draws_are_those_of_the_seed_for_every_method(lab: Lab) -> None:
    one = draws_of(lab, lab.transfer(lab.search("random"), "fresh", 0.1))
    two = draws_of(lab, lab.transfer(lab.search("magnitude", "weight"), "inherit", 0.5))
    for a, b in zip(one, two, strict=True):
        assert (a.shots, a.draw, a.seed, a.classes) == (b.shots, b.draw, b.seed, b.classes)
        for part, other_part in ((a.train, b.train), (a.test, b.test)):
            assert torch.equal(pixels(part), pixels(other_part)) and torch.equal(part.labels, other_part.labels)
    assert len({draw.seed for draw in one}) == 4
    assert [len(draw.train) for draw in one] == [3, 3, 15, 15]
    assert all(torch.bincount(draw.train.labels).tolist() == [draw.shots] * 3 for draw in one)
    assert not torch.equal(pixels(one[0].train), pixels(one[1].train))
    assert not torch.equal(pixels(one[2].train), pixels(one[3].train))
    other = draws_of(lab, lab.transfer(lab.search("random", seed=1), "fresh", 0.1))
    assert not torch.equal(pixels(other[2].train), pixels(one[2].train))
    # What is tested on is trained on by none, and is all but the pool.
    for draw in one:
        tested = {image.numpy().tobytes() for image in pixels(draw.test)}
        assert not tested & {image.numpy().tobytes() for image in pixels(draw.train)}
    everything = opened(DatasetRef(**TARGET), lab.digests["target"], lab.context.data_root)
    assert len(one[0].test) == len(everything.labels) - 3 * 20


def test_targets_are_shown_with_the_sources_statistics(lab: Lab) -> None:
    job = lab.transfer(lab.search("random"), "fresh", 0.1)
    source = open_source(job.spec, lab.context)
    for draw in draws_of(lab, job):
        for part in (draw.train, draw.test):
            assert torch.equal(part.mean, source.train.mean) and torch.equal(part.std, source.train.std)


@pytest.mark.parametrize("weights", ["fresh", "scratch", "inherit"])
def test_nothing_is_learnt_from_the_targets_test_part(
    lab: Lab, run: Run, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"steps": 15, "batch": 15, "lr": 0.1, "norm_momentum": 0.5}
    job = lab.transfer(lab.search("magnitude", model=RESNET), weights, 0.5, shots=[5], recipe=recipe)
    values, said = run(job)
    draws = protocol.target_draws
    random = torch.Generator().manual_seed(0)

    def spoiled(*arguments: Any) -> list[Draw]:
        result = []
        for draw in draws(*arguments):
            shape = pixels(draw.test).shape
            images = torch.randint(0, 255, shape, generator=random, dtype=torch.uint8)
            labels = draw.test.labels[torch.randperm(len(draw.test), generator=random)]
            result.append(replace(draw, test=Task(images, labels, draw.test.mean, draw.test.std)))
        return result

    monkeypatch.setattr(protocol, "target_draws", spoiled)
    after, also = run(job)
    assert unchanged(said, also)
    assert after.results != values.results and after.source_accuracy == values.source_accuracy


def test_nothing_is_learnt_from_the_sources_test_part(lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lab.transfer(lab.search("magnitude"), "fresh", 0.1)
    values, said = run(job)

    def spoiled(*arguments: Any) -> Any:
        source = open_source(*arguments)
        return replace(source, test=replace(source.test, labels=source.test.labels.flip(0)))

    monkeypatch.setattr(protocol, "open_source", spoiled)
    after, also = run(job)
    assert unchanged(said, also) and after.results == values.results
    assert after.source_accuracy != values.source_accuracy


def refused(*_: Any) -> None:
    raise NotStackable("not in this test")


@GRANULARITIES
@pytest.mark.parametrize("model", [VGG, RESNET], ids=["vgg16", "resnet20"])
def test_stacked_and_one_by_one_are_the_same_training(
    lab: Lab, run: Run, model: dict[str, Any], granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few shots (3 images) are less than a batch (15), many (30) are more.
    job = lab.transfer(lab.search("random", granularity, model=model), "fresh", 0.5, shots=[1, 5, 10])
    stacked, said = run(job)
    monkeypatch.setattr(fewshot, "Replicas", refused)
    alone, also = run(job)
    for one, other in zip(said, also, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)
    for one, other in zip(stacked.results, alone.results, strict=True):
        assert one.accuracy == pytest.approx(other.accuracy, abs=0.02)
        assert one.train_flops == other.train_flops


def test_heads_and_orders_belong_to_the_draw(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lab.transfer(lab.search("random"), "fresh", 0.1)
    network, masks, *_ = protocol._subnetwork(job, lab.context, open_source(job.spec, lab.context))
    draws = draws_of(lab, job)
    seen: list[dict[str, Tensor]] = []
    replicas = fewshot.Replicas

    def spy(template: Any, states: list[dict[str, Tensor]], shape: tuple[int, ...]) -> Any:
        seen.extend(states)
        return replicas(template, states, shape)

    monkeypatch.setattr(fewshot, "Replicas", spy)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    together = adapt(network, draws, FineTuning(**FINETUNE), masks)
    # The network handed over keeps its own head and weights.
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    expected = []
    for draw in draws:
        models.replace_head(network, draw.classes, draw.seed)
        expected.append(network.state_dict()["head.weight"].clone())
    for state, head in zip(seen, expected, strict=True):
        assert torch.equal(state["head.weight"], head) and not torch.equal(head, before["head.weight"])
        assert all(torch.equal(state[name], before[name]) for name in before if not name.startswith("head."))
    assert len({head.numpy().tobytes() for head in expected}) == 4
    # A draw's result does not depend on its company.
    assert adapt(network, draws[2:3], FineTuning(**FINETUNE), masks) == pytest.approx(together[2:3], abs=0.01)


def test_twice_the_steps_are_twice_the_training_and_leave_the_rest(lab: Lab, run: Run) -> None:
    found = lab.search("dense")
    once, said = run(lab.transfer(found, "fresh"))
    twice, also = run(lab.transfer(found, "fresh", training={"steps": 40}))
    assert not torch.equal(said[0], also[0])
    assert (once.params, once.macs) == (twice.params, twice.macs)
    for one, other in zip(once.results, twice.results, strict=True):
        assert other.train_flops - one.train_flops == 6 * once.macs * 20 * 32


def test_a_target_s_own_steps_and_batch_are_its_own(lab: Lab) -> None:
    """Two targets in one job: each with the tasks, the recipe and the account of its own, as it would be alone."""
    found = lab.search("dense")
    job = lab.transfer(found, "inherit")
    second = lab.target(label="again", recipe={**FINETUNE, "steps": 3, "batch": 9}, shots=[2], draws=3, pool=10, test=7)
    first = lab.target()
    together = changed(job, targets=[first, second])
    values = lab.again(together).values
    alone = [lab.again(changed(job, targets=[target])).values for target in (first, second)]
    assert values.results == alone[0].results + alone[1].results
    assert [(r.target, r.shots, r.draw) for r in values.results[4:]] == [("again", 2, n) for n in range(3)]
    assert [r.train_flops for r in values.results] == [6 * values.macs * images for images in [60] * 4 + [27] * 3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@GRANULARITIES
@pytest.mark.parametrize("weights", ["fresh", "scratch", "inherit"])
def test_on_a_cuda_device(lab: Lab, granularity: str, weights: str) -> None:
    def there(job: Job) -> Job:
        return changed(job, device="cuda")

    found = there(lab.search("lottery_ticket", granularity, drop=0.5))
    found = changed(found, pretrain=lab.key(there(lab.pretrain())))
    values = lab.again(there(lab.transfer(found, weights, 0.1))).values
    assert all(0 <= result.accuracy <= 1 for result in values.results)
