"""What `python -m benchmark.studies.speed` measures, on the smallest work there is."""

import dataclasses
import io
import re
import time

import pytest
import torch
from rich.console import Console

from benchmark.config.params import ModelRef
from benchmark.jobs.store import Store
from benchmark.networks.timing import quartiles, ratios
from benchmark.protocol import fewshot
from benchmark.studies.speed import __main__ as program
from benchmark.studies.speed import around, compiling, load, plain
from benchmark.studies.speed.lines import LINES, Options
from benchmark.studies.speed.load import Load, straight
from benchmark.training.loop import set_train_mode
from benchmark.training.stacked import Replicas

LOAD = Load(ModelRef(name="own:vgg16", width=0.0625), 1, 8, "cpu", steps=1, batch=4, draws=2)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def eager(monkeypatch):
    """No compiler: what would be compiled is called as it is; returns the modes that were asked for."""
    modes = []
    monkeypatch.setattr(compiling.torch, "compile", lambda forward, fullgraph, mode: modes.append(mode) or forward)
    return modes


def test_a_ratio_says_how_many_times_faster_the_first_is():
    found = ratios(lambda: time.sleep(0.01), lambda: time.sleep(0.05), 3, "cpu")
    assert len(found) == 3
    assert all(ratio > 1 for ratio in found)


def test_quartiles_around_the_median():
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == (2.0, 3.0, 4.0)


def test_fine_tunings_are_stacked_on_one_side_only(monkeypatch):
    seen = []

    class Seen(Replicas):
        def __init__(self, *arguments):
            seen.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(fewshot, "Replicas", Seen)
    LINES["stacked"](LOAD, Options(pairs=2, mode="default", workers=2))
    assert len(seen) == 3  # beforehand, and once per pair
    assert fewshot.Replicas is Seen


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("layout", {("float32", True), ("float32", False)}),
        ("precision", {("bfloat16", True), ("float32", True)}),
    ],
)
def test_two_trainings_differ_in_what_their_line_says(monkeypatch, name, expected):
    seen = set()

    def fit(forward, parameters, data, recipe):
        (images, _), *_ = data
        assert images.shape == (4, 3, 8, 8)
        last = images.is_contiguous(memory_format=torch.channels_last)
        weight = next(weight for weight in parameters.values() if weight.ndim == 4)
        assert weight.is_contiguous(memory_format=torch.channels_last) == last
        seen.add((recipe.precision, last))

    monkeypatch.setattr(load, "fit", fit)
    LINES[name](dataclasses.replace(LOAD, channels=3), Options(pairs=2, mode="default", workers=2))
    assert seen == expected


def test_compilation_is_timed_with_and_without(eager):
    rows = LINES["compile"](LOAD, Options(pairs=2, mode="reduce-overhead", workers=2))
    assert eager == ["reduce-overhead"] * 4
    assert len(rows) == 4
    assert [len(ratios) for _, _, ratios in rows] == [2] * 4  # one for each pair


@pytest.mark.parametrize("name", ["own:vgg16", "own:resnet20"])
def test_what_is_compiled_is_one_graph_and_computes_the_same(name):
    small = dataclasses.replace(LOAD, model=ModelRef(name=name, width=0.125))
    template = set_train_mode(small.large(), small.finetune)
    replicas = Replicas(template, [template.state_dict() for _ in range(2)], (1, 8, 8))
    images = torch.rand(2, 3, 1, 8, 8)
    forward = straight(replicas)
    assert torch.equal(forward(images), replicas(images))
    traced = torch.compile(forward, fullgraph=True, backend="eager")
    torch.testing.assert_close(traced(images), replicas(images))


def test_the_fine_tuning_that_is_compiled_trains_every_replica():
    network = LOAD.large()
    forward, train = LOAD.finetuning(network)
    images = torch.rand(2, 3, 1, 8, 8)
    before = forward(images).detach().clone()
    train(forward)
    assert (forward(images) - before).abs().amax((1, 2)).min() > 0


def test_a_search_has_as_many_steps_of_weights_and_architecture_as_the_training():
    rows = LINES["dap"](dataclasses.replace(LOAD, steps=3), Options(pairs=2, mode="default", workers=2))
    assert [row[:2] for row in rows] == [
        ("a training step of the large model", "a step of DAP"),
        ("the memory of that training (smaller)", "of that search"),
    ]
    assert [len(found) for _, _, found in rows] == [2, 2]
    # Its gated weights, at least, are beside what a training has.
    assert rows[1][2][0] > 1


def test_workers_share_the_work():
    ((one, other, found),) = LINES["workers"](LOAD, Options(pairs=2, mode="default", workers=2))
    assert (one, other) == ("2 workers on the device", "one worker")
    assert len(found) == 2


def run(*arguments):
    console = Console(file=io.StringIO(), width=200)
    small = ["--width", "0.0625", "--steps", "1", "--batch", "4", "--pairs", "2", "--device", "cpu"]
    program.main([*small, *arguments], console)
    return console.file.getvalue()


def test_the_table_has_a_line_for_each_comparison():
    told = run("--only", "extracted", "layout", "precision")
    for name in ("the masked large one", "channels-last", "bfloat16"):
        (line,) = (line for line in told.splitlines() if name in line)
        middle, low, _, high = line.split()[-4:]
        assert 0 < float(low) <= float(middle) <= float(high)


def test_what_cannot_be_measured_is_said_and_the_rest_is_printed(monkeypatch):
    def refuse(*_arguments, **_options):
        raise RuntimeError("no working C++ compiler\nand more")

    monkeypatch.setattr(compiling.torch, "compile", refuse)
    told = run("--only", "compile", "layout")
    assert "compile: not measured: no working C++ compiler\n" in told
    assert "channels-last" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--pairs", "1"], "--pairs: expected 2 or more"),
        (["--workers", "1"], "--workers: expected 2 or more"),
        (["--device", "cuda"], "torch finds no GPU here"),
    ],
)
def test_a_wrong_option_is_one_line(arguments, told, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
    assert told in capsys.readouterr().err


def test_the_plain_loop_trains_what_the_masks_keep_and_nothing_else():
    network, masks = LOAD.masked()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    assert 0.05 < sum(mask.sum() for mask in masks.values()) / sum(mask.numel() for mask in masks.values()) < 0.11
    plain.train(network, LOAD.source(), LOAD.recipe(), masks)
    for name, weight in network.named_parameters():
        assert (weight[masks[name] == 0] == 0).all()
    moved = [name for name, weight in network.named_parameters() if not torch.equal(weight, before[name] * masks[name])]
    assert len(moved) > len(before) / 2


def test_the_plain_loop_leaves_the_network_and_measures_every_draw():
    network = LOAD.large()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = plain.adapt(network, LOAD.few_shot(), LOAD.finetune)
    assert len(found) == 2 and all(0 <= accuracy <= 1 and round(100 * accuracy, 4).is_integer() for accuracy in found)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_grid_grows_by_finished_jobs_and_nothing_is_left_to_compute(monkeypatch):
    few = {"methods: [dense, uniform, flat, random]": "methods: [uniform]", "costs: [params, macs]": "costs: [params]"}
    text = re.sub(r"budgets: .*", "budgets: [0.5]", around.PARAMS)
    text = text[: text.rindex("    methods:")]
    for old, new in few.items():
        text = text.replace(old, new)
    monkeypatch.setattr(around, "PARAMS", text)
    monkeypatch.setattr(around, "COMMANDS", {"run": around.COMMANDS["run"]})
    # A pretraining, the search and the retraining of what it finds, for each of as many seeds.
    computed = []
    put = Store.put
    monkeypatch.setattr(Store, "put", lambda self, job, *rest: computed.append(job.key) or put(self, job, *rest))
    (one, several) = LINES["around"](LOAD, Options(1, "default", 2, (1, 9)))
    assert len(computed) == len(set(computed)) == 6  # those of the first seed are computed in other processes
    assert one[0].startswith("run, by job: 6 finished, ") and several[0].startswith("run, by job: 9 finished, ")
    assert one[2] == [1.0] and all(ratio > 0 for ratio in several[2])
