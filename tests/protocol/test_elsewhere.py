"""A large model pretrained elsewhere: what the steps take from it, and that they train nothing of it but a readout."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lab import RECIPE, Lab, changed, drawn
from problems import problem
from safetensors.torch import load, save_file
from torch import Tensor, nn

from benchmark import models, seeds
from benchmark.config.params import FineTuning, ModelRef, Recipe
from benchmark.errors import BenchError
from benchmark.files import file_sha256
from benchmark.jobs.job import Job
from benchmark.jobs.specs import PretrainSpec
from benchmark.protocol.fewshot import adapt
from benchmark.protocol.source import open_source
from benchmark.pruning.problem import Problem
from benchmark.space import Architecture
from benchmark.training.loop import accuracy

VGG = ModelRef(name="own:vgg16", width=0.0625)


def weights(folder: Path, classes: int) -> Path:
    """A file with the weights that a network for so many classes has from elsewhere."""
    module = models.build(VGG, 1, classes, 8)
    models.initialise(module, 99)
    path = folder / f"{classes}.safetensors"
    save_file(module.state_dict(), path)
    return path


def job_of(lab: Lab, path: Path, seed: int = 0) -> Job:
    spec = lab.source(seed, VGG.model_dump(include={"name", "width"})) | {"pretrained": file_sha256(path)}
    return Job(PretrainSpec.model_validate(spec), inputs={"weights": str(path)}, label="pretrain")


def test_a_classifier_for_the_source_s_classes_is_taken_as_it_is(lab: Lab, tmp_path: Path) -> None:
    path = weights(tmp_path, 3)
    job = job_of(lab, path)
    output = lab.again(job)
    given = models.build(VGG.model_copy(update={"file": str(path)}), 1, 3, 8).eval()
    assert (output.values.flops, output.values.steps) == (0, 0)
    found = load(output.files["final.safetensors"])
    assert all(torch.equal(tensor, found[name]) for name, tensor in given.state_dict().items())
    source = open_source(job.spec, lab.context)
    expected = {"validation": accuracy(given, source.validation), "test": accuracy(given, source.test)}
    assert output.values.accuracy.model_dump() == expected


def test_another_classifier_is_a_readout_of_the_frozen_network(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "4.safetensors"
    features = {name: tensor for name, tensor in lab.pretrained().items() if not name.startswith("head.")}
    save_file({**features, "head.weight": torch.ones(4, 32), "head.bias": torch.ones(4)}, path)
    output = lab.again(job_of(lab, path))
    assert (output.values.flops, output.values.steps) == (0, RECIPE["steps"])
    given = models.build(VGG.model_copy(update={"file": str(path)}), 1, 3, 8).state_dict()
    found = load(output.files["final.safetensors"])
    assert all(torch.equal(given[name], tensor) for name, tensor in found.items() if not name.startswith("head."))
    start = models.build(VGG, 1, 3, 8)
    models.replace_head(start, 3, seeds.derive(0, "init"))
    assert not torch.equal(found["head.weight"], start.get_parameter("head.weight"))
    assert output.values.accuracy.validation > 0.6  # one in three by chance; machines round differently
    other = load(lab.again(job_of(lab, path, seed=1)).files["final.safetensors"])
    assert not torch.equal(other["head.weight"], found["head.weight"])
    again = load(lab.again(job_of(lab, path)).files["final.safetensors"])
    assert torch.equal(again["head.weight"], found["head.weight"])


def test_a_file_that_changed_since_planning_is_refused(lab: Lab, tmp_path: Path) -> None:
    job = job_of(lab, weights(tmp_path, 3))
    save_file({"a": torch.zeros(1)}, tmp_path / "3.safetensors")
    with pytest.raises(BenchError, match="the weights changed since this job was planned"):
        lab.again(job)


def test_pruners_start_from_it_and_it_is_in_the_architecture_s_metadata(lab: Lab, tmp_path: Path) -> None:
    job = job_of(lab, weights(tmp_path, 3))
    search = lab.search("magnitude", pretrain=lab.key(job))
    found = lab.again(changed(search, pretrained=job.spec.pretrained, params={}, pretrain=lab.key(job)))
    assert found.values.pretrain_flops == 0
    assert {entry.state_pretrain_flops for entry in found.values.architectures} == {0}
    content = found.files[found.values.architectures[0].file]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    meta = Architecture.load(path).meta
    assert meta["pretrained"] == job.spec.pretrained
    assert meta["model"] == {"name": "own:vgg16", "width": 0.0625}


def test_initial_weights_are_the_pretrained_ones_and_draws_are_fresh() -> None:
    made: Problem = replace(problem("channel"), elsewhere=True)
    initial, pretrained = made.initial(), made.pretrained()
    assert all(torch.equal(tensor, pretrained[name]) for name, tensor in initial.items())
    first = "features.0.weight"
    initial[first].zero_()
    assert made.pretrained()[first].any()  # a search may train what it was given
    assert not torch.equal(made.draw(0)[first], pretrained[first])


# Few-shot training of networks whose classifier is not one linear layer at the end


class Averaged(nn.Module):
    """Two classifiers of the same features, whose mean is the output, as in a distilled transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained_cfg = {"classifier": ("head", "head_dist")}
        self.body = nn.Conv2d(1, 24, 8)
        self.head, self.head_dist = nn.Linear(24, 3), nn.Linear(24, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images).relu().mean((2, 3))
        return (self.head(features) + self.head_dist(features)) / 2


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 24, 8), nn.ReLU(), nn.Conv2d(24, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("make", [Averaged, convolutional])
@pytest.mark.parametrize("trained", ["all", "head"])
def test_any_classifier_is_fine_tuned_and_probed(make: Any, trained: str, lab: Lab) -> None:
    network = make()
    models.initialise(network, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    source = open_source(lab.pretrain().spec, lab.context)
    draws = drawn(lab.tasks(shots=[5], draws=2), 0, source, lab.context.data_root)
    recipe = FineTuning(steps=30, batch=15, lr=0.1, trained=trained)
    accuracies = adapt(network, draws, recipe, {})
    assert len(accuracies) == 2
    assert all(value > 0.6 for value in accuracies)  # one in three by chance
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    untrained = adapt(network, draws, Recipe(steps=1, batch=15, lr=1e-9), {})
    assert sum(untrained) < sum(accuracies)
