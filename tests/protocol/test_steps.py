"""Pretraining and search as pure steps: what they return, that a seed decides it, and what is refused."""

from typing import Any, ClassVar

import pytest
import torch
from lab import SOURCE, VGG, Lab, changed, pixels
from safetensors.torch import load

from benchmark import models, seeds
from benchmark.config.params import DatasetRef, ModelRef, Recipe
from benchmark.data import open_prepared
from benchmark.errors import BenchError
from benchmark.jobs.job import JobOutput
from benchmark.protocol import search as protocol
from benchmark.protocol.source import open_source
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.space import Architecture, build_space, unpack_state
from benchmark.training.loop import accuracy


def same(one: JobOutput, other: JobOutput) -> bool:
    return one.values == other.values and one.files == other.files


def test_pretraining_returns_accuracies_compute_and_weights(lab: Lab) -> None:
    job = lab.pretrain()
    output = lab.output(job)
    assert output.values.steps == 20
    source = open_source(job.spec, lab.context)
    network = source.large_model()
    space = build_space(network, source.example(), "channel")
    assert output.values.flops == 6 * space.macs(torch.ones(space.n)) * 20 * 32
    network.load_state_dict(lab.pretrained())
    for part in ("validation", "test"):
        assert getattr(output.values.accuracy, part) == accuracy(network.eval(), getattr(source, part))
    # Twenty steps must have learnt something, or the tests that follow compare noise.
    assert output.values.accuracy.test > 0.5


def test_the_source_is_split_and_shown_by_its_training_part(lab: Lab) -> None:
    source = open_source(lab.pretrain().spec, lab.context)
    count = len(source.train) + len(source.validation) + len(source.test)
    assert len(source.train) / count == pytest.approx(0.6, abs=0.01)
    assert len(source.validation) / count == pytest.approx(0.2, abs=0.01)
    shown = source.train.normalise(pixels(source.train))
    assert float(shown.mean()) == pytest.approx(0, abs=1e-3) and float(shown.std()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(source.test.mean, source.train.mean)
    content = {part: {i.numpy().tobytes() for i in pixels(getattr(source, part))} for part in ("train", "test")}
    assert not content["train"] & content["test"]
    other = open_source(lab.pretrain(seed=1).spec, lab.context)
    assert not torch.equal(pixels(other.train), pixels(source.train))
    # All parts, and those of another seed too, are looked up in the file of the prepared set; none copies pixels.
    mapped = open_prepared(DatasetRef(**SOURCE), lab.context.data_root).images
    assert all(torch.equal(part.images, mapped) for part in (source.train, source.validation, source.test))
    assert len({part.images.data_ptr() for part in (source.train, source.validation, source.test)}) == 1


def test_equal_seeds_give_equal_bits(lab: Lab) -> None:
    found = lab.search("magnitude")
    for job in (lab.pretrain(), found, lab.transfer(found, "fresh", 0.1), lab.transfer(found, "inherit", 0.1)):
        once = lab.output(job)
        torch.manual_seed(7)
        assert same(lab.again(job), once)
    assert not same(lab.output(lab.pretrain(seed=1)), lab.output(lab.pretrain(seed=0)))


def test_changed_data_are_refused(lab: Lab) -> None:
    job = lab.pretrain()
    job = changed(job, source_digest="0" * 64)
    with pytest.raises(BenchError, match=r"^digits: the prepared data changed"):
        lab.again(job)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_pruners_start_from_and_reproduce_the_pretraining(lab: Lab, granularity: str) -> None:
    """The shared initial weights, data and order: training everything again gives the pretrained model bit by bit."""
    job = lab.pretrain()
    source = open_source(job.spec, lab.context)
    network = source.large_model()
    made = Problem(
        space=build_space(network, source.example(), granularity),
        network=network,
        train=source.train,
        validation=source.validation,
        recipe=source.recipe,
        budgets=(0.5,),
        seed=0,
        device="cpu",
        load_pretrained=lambda: (lab.pretrained(), 0),
    )
    untouched = models.build(ModelRef(**VGG), 1, 3, 8)
    models.initialise(untouched, seeds.derive(0, "init"))
    assert all(torch.equal(made.initial()[name], tensor) for name, tensor in untouched.state_dict().items())
    trained = made.retrain(torch.ones(made.space.n, dtype=torch.bool), made.initial())
    assert all(torch.equal(trained[name], tensor) for name, tensor in lab.pretrained().items())
    assert made.flops == lab.output(job).values.flops
    assert source.recipe == Recipe(steps=20, batch=32, lr=0.1, norm_momentum=0.5)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize(
    ("method", "params"), [("magnitude", {}), ("lottery_ticket", {"drop": 0.5}), ("dap", {"steps": 6, "warmup": 2})]
)
def test_a_search_returns_architectures_and_weights(
    lab: Lab, method: str, params: dict[str, Any], granularity: str
) -> None:
    job = lab.search(method, granularity, **params)
    output = lab.output(job)
    assert (output.values.trace is not None) == (method == "dap")
    pretrained = lab.output(lab.pretrain()).values.flops
    assert output.values.pretrain_flops == (pretrained if method == "magnitude" else 0)
    source = open_source(job.spec, lab.context)
    space = build_space(source.large_model(), source.example(), granularity)
    entries = output.values.architectures
    assert [entry.budget for entry in entries] == [0.5, 0.1]
    assert set(output.files) == {name for entry in entries for name in (entry.file, entry.state_file)}
    for entry in entries:
        path = lab.context.store.get(job.key).files[entry.file]
        architecture = Architecture.load(path)
        mask = space.mask(architecture)
        assert entry.complexity == space.complexity(mask) <= entry.budget
        assert (entry.params, entry.macs) == (space.params(mask), space.macs(mask))
        assert entry.kept == architecture.kept and entry.sizes == architecture.sizes
        assert entry.digest == architecture.digest
        wanted = {"method": method, "parameters": params, "seed": 0, "budget": entry.budget, "classes": 3}
        assert {key: architecture.meta[key] for key in wanted} == wanted
        assert architecture.meta["input"] == [1, 8, 8] and architecture.meta["reference"]
        state = unpack_state(space, mask, output.files[entry.state_file])
        kept = space.shrink(state, mask)
        original = space.shrink(lab.pretrained(), mask)
        inherits = all(torch.equal(kept[name], original[name]) for name in kept)
        assert inherits == (method == "magnitude")
        assert entry.state_pretrain_flops == (pretrained if method == "magnitude" else 0)


class Careless(Pruner):
    """Returns what it is told to."""

    name = "careless"
    reference = "none"
    answer: ClassVar[list[tuple[float, float]]] = []

    def search(self, problem: Problem) -> list[SubNetwork]:
        scores = torch.arange(problem.space.n, dtype=torch.float64)
        return [SubNetwork(said, problem.space.project(scores, used)) for said, used in self.answer]


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([(0.5, 0.6), (0.1, 0.1)], r"^careless: budget 0\.5 missed, the architecture has complexity 0\.[56]"),
        ([(0.5, 0.5), (0.1, 0.08)], r"^careless: budget 0\.1 missed, the architecture has complexity 0\.0[78]"),
        ([(0.5, 0.5)], r"^careless: returned architectures for the budgets 0\.5; expected 0\.5, 0\.1"),
        (
            [(0.1, 0.1), (0.5, 0.5)],
            r"^careless: returned architectures for the budgets 0\.1, 0\.5; expected 0\.5, 0\.1",
        ),
    ],
)
def test_a_missed_budget_fails_the_search(
    lab: Lab,
    granularity: str,
    answer: list[tuple[float, float]],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = lab.search("uniform", granularity)
    monkeypatch.setattr(protocol, "pruner", lambda _name: Careless)
    job = changed(job, method="careless")
    monkeypatch.setattr(Careless, "answer", answer)
    with pytest.raises(BenchError, match=message):
        lab.again(job)
    monkeypatch.setattr(Careless, "answer", [(0.5, 0.5), (0.1, 0.1)])
    assert len(lab.again(job).values.architectures) == 2


def test_no_search_is_told_of_a_target(lab: Lab) -> None:
    spec = lab.search("uniform").spec
    assert "digits-3-5" not in str(spec) and lab.digests["target"] not in str(spec)


def test_inherited_weights_are_what_the_files_hold(lab: Lab) -> None:
    output = lab.output(lab.search("dense"))
    (entry,) = output.values.architectures
    stored = load(output.files[entry.state_file])
    assert all(torch.equal(stored[name], tensor) for name, tensor in lab.pretrained().items())
