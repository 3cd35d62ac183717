"""Retraining under a teacher: what it changes, what it costs, and that no target ever meets it."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from lab import RESNET, VGG, Lab, changed
from torch import Tensor

from benchmark import seeds
from benchmark.jobs.job import Job
from benchmark.protocol import transfer as protocol
from benchmark.protocol.source import open_source
from benchmark.protocol.transfer import equal_flops_steps
from benchmark.space.graph.macs import count
from benchmark.training.distillation import Teaching
from benchmark.training.loop import batches

IMAGES = 20 * 32  # of the source's training
LOGITS = {"structure": 0.0}
NOTHING = {"weight": 0.0, "structure": 0.0}


def taught(lab: Lab, job: Job, model: Mapping[str, Any] = VGG, **distillation: float) -> Job:
    """The job, with the pretrained large model of its seed as its teacher."""
    return changed(job, teacher=lab.key(lab.pretrain(job.spec.seed, model)), distillation=distillation)


def large(lab: Lab, job: Job) -> int:
    source = open_source(job.spec, lab.context)
    return count(source.large_model(), source.example())[1]


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("model", [VGG, RESNET], ids=["vgg16", "resnet20"])
def test_a_teacher_of_no_weight_leaves_every_bit(lab: Lab, model: dict[str, Any], granularity: str) -> None:
    job = lab.transfer(lab.search("random", granularity, model=model), "fresh", 0.5)
    alone, under = lab.again(job).values, lab.again(taught(lab, job, model, **NOTHING)).values
    assert (alone.source_accuracy, alone.params, alone.macs) == (under.source_accuracy, under.params, under.macs)
    for one, other in zip(alone.results, under.results, strict=True):
        # A forward pass of two operations per multiply-accumulate for every image that was trained on.
        assert other.train_flops == one.train_flops + 2 * large(lab, job) * IMAGES
        assert one == other.model_copy(update={"train_flops": one.train_flops})


def weights_after(lab: Lab, job: Job) -> dict[str, Tensor]:
    """The retrained network's state, before any target."""
    source = open_source(job.spec, lab.context)
    network, masks, _, macs = protocol._subnetwork(job, lab.context, source)
    protocol._trained_on_source(network, masks, macs, source, job.spec, lab.context)
    return network.state_dict()


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_logits_and_structure_each_change_what_is_learnt(lab: Lab, granularity: str) -> None:
    job = lab.transfer(lab.search("random", granularity), "fresh", 0.5)
    jobs = [job, taught(lab, job, **LOGITS), taught(lab, job), taught(lab, job, weight=0.0)]
    states = [weights_after(lab, one) for one in jobs]
    for number, state in enumerate(states):
        assert all(not torch.equal(state["head.weight"], other["head.weight"]) for other in states[:number])
        assert all(bool(tensor.isfinite().all()) for tensor in state.values())
    _, masks, *_ = protocol._subnetwork(job, lab.context, open_source(job.spec, lab.context))
    assert all(bool((state[name][mask == 0] == 0).all()) for state in states for name, mask in masks.items())


def test_a_network_comes_closer_to_its_teacher(lab: Lab) -> None:
    job = lab.transfer(lab.search("random"), "fresh", 0.5, training={"steps": 60})
    source = open_source(job.spec, lab.context)
    images = source.train.normalise(source.train.pixels(torch.arange(64)))
    teacher = source.large_model().eval()
    teacher.load_state_dict(lab.pretrained())
    distances = []
    for one in (job, taught(lab, job, weight=1.0, structure=0.0)):
        network, *_ = protocol._subnetwork(one, lab.context, source)
        network.load_state_dict(weights_after(lab, one))
        with torch.no_grad():
            told, said = (net.eval()(images).log_softmax(1) for net in (teacher, network))
        distances.append(float(torch.nn.functional.kl_div(said, told, log_target=True, reduction="batchmean")))
    assert distances[1] < distances[0]


def test_the_teacher_sees_the_batches_of_the_source_and_nothing_of_a_target(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = taught(lab, lab.transfer(lab.search("random"), "fresh", 0.1))
    shown: list[Tensor] = []

    class Watched(Teaching):
        def __init__(self, network: Any, teacher: Any, *others: Any) -> None:
            teacher.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0].clone()))
            super().__init__(network, teacher, *others)

    monkeypatch.setattr(protocol, "Teaching", Watched)
    values = lab.again(job).values
    source = open_source(job.spec, lab.context)
    order = seeds.generator(job.spec.seed, "source-order")
    expected = [images for images, _ in batches(source.train, source.recipe, order)]
    assert len(values.results) == 4
    assert len(shown) == len(expected) == 20
    assert all(torch.equal(one, other) for one, other in zip(shown, expected, strict=True))


@pytest.mark.parametrize("weights", ["scratch", "inherit"])
def test_without_a_source_training_there_is_no_teacher(lab: Lab, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lab.transfer(lab.search("random"), weights, 0.1)
    monkeypatch.setattr(protocol, "Teaching", None)  # whoever made one would fail
    assert lab.again(taught(lab, job)).values == lab.again(job).values


def test_the_dense_control_has_a_teacher_of_its_own_size(lab: Lab) -> None:
    job = taught(lab, lab.transfer(lab.search("dense"), "fresh"), **LOGITS)
    values = lab.again(job).values
    assert {result.train_flops for result in values.results} == {(6 + 2) * values.macs * IMAGES + 6 * values.macs * 60}


def test_left_out_layers_can_be_compared(lab: Lab) -> None:
    found = lab.search("shallow", "block+channel")
    job = lab.transfer(found, "fresh", 0.1)
    entry = lab.output(found).values.architectures[1]
    assert any(entry.kept[name] < size for name, size in entry.sizes.items() if name.endswith("(block)"))
    alone, under = weights_after(lab, job), weights_after(lab, taught(lab, job))
    assert not torch.equal(alone["head.weight"], under["head.weight"])


def test_equal_operations_under_a_teacher_by_hand() -> None:
    # A step costs 3 x 1000 + 1000 of the large network, 3 x 500 + 1000 of the small one.
    assert equal_flops_steps(20, 1000, 500, 4.0) == 40
    assert equal_flops_steps(20, 1000, 500, 4.0, taught=True) == 32
    assert equal_flops_steps(20, 1000, 1000, 4.0, taught=True) == 20
