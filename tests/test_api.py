import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import api, models
from benchmark.errors import BenchError
from benchmark.protocol.fewshot import Draw, adapt
from benchmark.protocol.retrain import reinitialised
from benchmark.protocol.source import trained_on
from benchmark.training.loop import Task, accuracy

RECIPE = api.Recipe(steps=5, batch=32, lr=0.05)


@pytest.fixture(scope="module")
def data() -> Any:
    return api.load_data(api.DatasetRef(name="digits", classes=[0, 1, 2]))


@pytest.fixture
def model() -> torch.nn.Module:
    return api.build_model(api.ModelRef(name="own:vgg16", width=0.0625), in_channels=1, classes=3, image_size=8)


def test_the_documented_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the module's docstring, word for word but for the model's width and the length of the search."""
    monkeypatch.chdir(tmp_path)
    example = "\n".join(line[4:] for line in (api.__doc__ or "").splitlines() if line.startswith("    "))
    short = example.replace("0.125", "0.0625").replace("problem)[0]", "problem, steps=4, restarts=2, warmup=1)[0]")
    short = short.replace("[0.05]", f"[0.05], recipe=api.{RECIPE!r}")
    assert short.count("0.0625") == 1
    assert "steps=4" in short
    found: dict[str, Any] = {}
    exec(short, found)
    architecture, network = found["found"].architecture, api.extract(found["model"], found["found"])
    assert sum(p.numel() for p in network.parameters()) == architecture.meta["params"]
    assert 0.04 < architecture.meta["complexity"] <= 0.05
    assert api.Architecture.load(tmp_path / "dap.safetensors").digest == architecture.digest
    assert 0 <= api.evaluate(found["problem"], network) <= 1
    assert len(example.strip().splitlines()) <= 10


def test_a_search_depends_on_its_seed_only_and_leaves_the_model_alone(data: Any, model: torch.nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    digests = []
    for seed in (0, 0, 1):
        problem = api.problem(model, data.images, data.labels, budgets=[0.1, 0.3], seed=seed, recipe=RECIPE)
        found = api.search("random", problem)
        assert [sub.architecture.meta["budget"] for sub in found] == [0.3, 0.1]
        digests.append([sub.architecture.digest for sub in found])
        assert digests[-1] == [sub.architecture.digest for sub in api.search("random", problem)]
        assert (problem.flops, problem.pretrain_flops) == (0, 0)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_pretrained_weights_are_the_model_s_own_when_it_says_so(data: Any, model: torch.nn.Module) -> None:
    """Magnitude pruning of a model with one loud channel per layer keeps that channel."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 4:
                parameter[1] += 100.0
                assert name.startswith("features.")
    kept = {}
    for pretrained in (False, True):
        problem = api.problem(
            model, data.images, data.labels, budgets=[0.05], recipe=RECIPE, granularity="channel", pretrained=pretrained
        )
        architecture = api.search("magnitude", problem)[0].architecture
        kept[pretrained] = [bool(mask[1]) for mask in architecture.masks.values()]
    assert all(kept[True])
    assert not all(kept[False])


def test_wrong_parameters_are_told_by_their_name(data: Any, model: torch.nn.Module) -> None:
    problem = api.problem(model, data.images, data.labels, budgets=[0.1], recipe=RECIPE)
    with pytest.raises(BenchError, match="random: alocation: unknown key; did you mean 'allocation'"):
        api.search("random", problem, alocation="ratios")
    with pytest.raises(BenchError, match="unknown method 'randm'; did you mean 'random'"):
        api.search("randm", problem)


def test_an_extracted_network_comes_back_from_its_file(data: Any, model: torch.nn.Module, tmp_path: Path) -> None:
    problem = api.problem(model, data.images, data.labels, budgets=[0.2], recipe=RECIPE)
    architecture = api.search("uniform", problem)[0].architecture
    network = api.extract(model, architecture).eval()
    path = tmp_path / "network.safetensors"
    api.save_network(network, architecture, path, weights="initial")
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(api.load_network(path)(images), network(images))
    with pytest.raises(BenchError, match="not one with a dapbench architecture"):
        api.Architecture.load(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BenchError, match="truncated"):
        api.load_network(path)


def test_weights_of_a_full_state_dict_are_loaded(data: Any, model: torch.nn.Module, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    problem = api.problem(model, data.images, data.labels, budgets=[0.2], recipe=RECIPE)
    architecture = api.search("uniform", problem)[0].architecture
    state = {name: torch.full_like(tensor, 2) for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "full.safetensors")
    large = api.large_model(architecture)
    api.load_weights(large, architecture, tmp_path / "full.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in large.state_dict().items())
    save_file({**state, "head.bias": torch.zeros(7)}, tmp_path / "other.safetensors")
    with pytest.raises(BenchError, match=re.escape("weights of another model (head.bias differs)")):
        api.load_weights(large, architecture, tmp_path / "other.safetensors")


def test_an_architecture_names_the_model_that_the_api_built(data: Any, model: torch.nn.Module) -> None:
    problem = api.problem(model, data.images, data.labels, budgets=[0.2], recipe=RECIPE)
    architecture = api.search("uniform", problem)[0].architecture
    assert architecture.meta["model"] == {"name": "own:vgg16", "width": 0.0625}
    again = api.large_model(architecture).state_dict()
    assert {name: tensor.shape for name, tensor in again.items()} == problem.space.shapes


def test_an_architecture_of_any_other_module_says_that_it_names_none(data: Any) -> None:
    own = models.build(api.ModelRef(name="own:vgg16", width=0.0625), 1, 3, 8)
    problem = api.problem(own, data.images, data.labels, budgets=[0.2], recipe=RECIPE)
    with pytest.raises(BenchError, match="do not name the large model"):
        api.large_model(api.search("uniform", problem)[0].architecture)


# What a sub-network is worth


@pytest.fixture(scope="module")
def new() -> Any:
    """A task that no search sees, in the source's shape."""
    return api.load_data(api.DatasetRef(name="digits", classes=[3, 4, 5, 6]))


def of(data: Any, model: torch.nn.Module, granularity: str = "channel", **options: Any) -> api.Problem:
    return api.problem(
        model, data.images, data.labels, budgets=[0.3], recipe=RECIPE, granularity=granularity, **options
    )


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_search_keeps_its_pruner_s_weights(
    data: Any, model: torch.nn.Module, granularity: str, tmp_path: Path
) -> None:
    """Of the lottery ticket they are not the model's; the network has them, and so has the file beside the other."""
    problem = of(data, model, granularity)
    found = api.search("lottery_ticket", problem)[0]
    assert found.state is not None
    network = api.extract(model, found)
    large = copy.deepcopy(model)
    large.load_state_dict(found.state)
    expected = problem.space.extract(large, found.architecture).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
    untrained = api.extract(model, found.architecture).state_dict()
    assert any(not torch.equal(tensor, expected[name]) for name, tensor in untrained.items())
    found.save(tmp_path / "ticket.safetensors")
    api.load_weights(model, found.architecture, tmp_path / "ticket.weights.safetensors")
    kept = api.extract(model, found.architecture).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in kept.items())


def test_a_pruner_without_weights_writes_none(data: Any, model: torch.nn.Module, tmp_path: Path) -> None:
    found = api.search("random", of(data, model))[0]
    assert found.state is None
    found.save(tmp_path / "random.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["random.safetensors"]


def test_one_search_s_weights_are_not_the_next_one_s(data: Any, model: torch.nn.Module) -> None:
    problem = of(data, model)
    found = api.search("lottery_ticket", problem)[0]
    before = {name: tensor.clone() for name, tensor in found.state.items()}
    api.search("dap", problem, steps=4, restarts=2, warmup=1)
    problem.draw(7)
    assert all(torch.equal(tensor, before[name]) for name, tensor in found.state.items())


def test_pretraining_on_demand_is_that_of_the_problem_and_is_done_once(
    data: Any, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = of(data, model)
    state, flops = problem.load_pretrained()
    by_hand = replace(problem, flops=0)
    expected = by_hand.retrain(torch.ones(problem.space.n, dtype=torch.bool), by_hand.initial())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    assert flops == by_hand.flops
    first = next(iter(state))
    state[first].zero_()  # whoever is given them may train them on
    monkeypatch.setattr(api, "trained_on", None)
    assert torch.equal(problem.load_pretrained()[0][first], expected[first])


@pytest.mark.parametrize("granularity", ["channel", "weight"])
@pytest.mark.parametrize("weights", ["fresh", "scratch", "inherit"])
def test_fine_tuning_is_that_of_the_suite(
    data: Any, new: Any, model: torch.nn.Module, weights: Any, granularity: str
) -> None:
    """The accuracy of a draw of the protocol, whose steps are done here one by one."""
    problem = of(data, model, granularity)
    found = api.search("lottery_ticket", problem)[0]
    recipe = api.FineTuning(steps=4, batch=15, lr=0.05, norm_momentum=0.5)
    tuned = api.finetune(problem, found, new.images[:40], new.labels[:40], weights, recipe, seed=5)
    mask, space = found.mask, problem.space
    if weights == "inherit":
        large = copy.deepcopy(model)
        large.load_state_dict(found.state)
        network, masks = space.extract(large, found.architecture), space.weight_masks(mask)
    else:
        network, masks = reinitialised(space, model, mask, problem.seed, "cpu")
    if weights == "fresh":
        trained_on(network, problem.train, RECIPE, problem.seed, masks)
    every = Task(new.images, new.labels, problem.train.mean, problem.train.std)
    part, rest = every.subset(torch.arange(40)), every.subset(torch.arange(40, len(every)))
    (expected,) = adapt(network, [Draw(10, 0, part, rest, 4, 5)], recipe, masks)
    assert api.evaluate(problem, tuned, new.images[40:], new.labels[40:]) == expected
    assert tuned(torch.zeros(2, 1, 8, 8)).shape == (2, 4) and not tuned.training
    if granularity == "weight":
        state, (head,) = tuned.state_dict(), models.head_names(tuned)
        held = {name: kept for name, kept in masks.items() if not name.startswith(head)}
        assert held and all(float(state[name][kept == 0].abs().sum()) == 0 for name, kept in held.items())


def test_an_architecture_is_measured_with_the_pretrained_weights(data: Any, model: torch.nn.Module) -> None:
    problem = of(data, model)
    found = api.search("random", problem)[0]
    oracle = replace(problem, flops=0)
    expected = oracle.evaluate(found.mask, problem.load_pretrained()[0])
    assert api.evaluate(problem, found.architecture) == api.evaluate(problem, found) == expected
    whole = replace(found.architecture, masks={k: torch.ones_like(v) for k, v in found.architecture.masks.items()})
    large = copy.deepcopy(model)
    large.load_state_dict(problem.load_pretrained()[0])
    assert api.evaluate(problem, whole) == api.evaluate(problem, large) == accuracy(large.eval(), problem.validation)
    assert (problem.flops, problem.pretrain_flops) == (0, 0)


def test_what_does_not_fit_the_source_is_refused(data: Any, new: Any, model: torch.nn.Module) -> None:
    problem = of(data, model)
    found = api.search("lottery_ticket", problem)[0]
    images, labels = new.images[:8], new.labels[:8]
    with pytest.raises(BenchError, match=re.escape("images: torch.float32 [8, 1, 8, 8]; expected uint8 [N, 1, 8, 8]")):
        api.finetune(problem, found, images / 255, labels)
    with pytest.raises(BenchError, match=re.escape("images: torch.uint8 [8, 1, 4, 4]; expected uint8 [N, 1, 8, 8]")):
        api.evaluate(problem, found, images[..., :4, :4], labels)
    with pytest.raises(BenchError, match=re.escape("labels: torch.int32 [8]; expected int64 [8]")):
        api.finetune(problem, found, images, labels.int())
    with pytest.raises(BenchError, match=re.escape("labels: torch.int64 [7]; expected int64 [8]")):
        api.evaluate(problem, found, images, labels[:7])
    with pytest.raises(BenchError, match="unknown weights mode 'inherited'; did you mean 'inherit'"):
        api.finetune(problem, found, images, labels, weights="inherited")  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="give images and labels, or neither"):
        api.evaluate(problem, found, images)
    wider = api.build_model(api.ModelRef(name="own:vgg16", width=0.125), 1, 3, 8)
    with pytest.raises(BenchError, match="made for another model"):
        api.evaluate(of(data, wider), found)
    with pytest.raises(BenchError, match="made for another model"):
        api.extract(wider, found)


# Wrong inputs


class Classifier(torch.nn.Module):
    """Two convolutions and a classifier of five classes; `after` is what becomes of the logits."""

    def __init__(self, after: Any = lambda logits: logits) -> None:
        super().__init__()
        self.a, self.b, self.fc = torch.nn.Conv2d(1, 6, 3), torch.nn.Conv2d(6, 8, 3), torch.nn.Linear(8, 5)
        self.after = after

    def forward(self, images: torch.Tensor) -> Any:
        return self.after(self.fc(self.b(self.a(images).relu()).relu().mean((2, 3))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": Classifier(lambda logits: {"logits": logits})}, "model: Classifier is no classifier: a dict"),
        ({"model": Classifier().requires_grad_(False)}, "model: all parameters of Classifier are frozen"),
        ({"model": Classifier().half()}, "model: a.weight is torch.float16; expected torch.float32"),
        ({"model": torch.nn.Sequential(torch.nn.LazyConv2d(4, 3))}, "model: 0.weight is not initialised yet"),
        ({"model": torch.nn.Conv2d(1, 4, 3)}, "model: Conv2d is no classifier: the output of 1 image has shape"),
        ({"images": lambda images: images / 255}, "images: torch.float32"),
        ({"images": lambda images: images.expand(-1, 3, -1, -1)}, "model: Classifier cannot run on torch.float32"),
        ({"images": lambda images: images[..., :4, :4]}, "model: Classifier cannot run on torch.float32 [1, 1, 4, 4]"),
        ({"labels": lambda labels: labels.int()}, "labels: torch.int32"),
        ({"labels": lambda labels: labels[1:]}, "expected int64"),
        ({"model": Classifier(lambda logits: logits[:, :2])}, "labels: up to 2, but the model gives 2 logits"),
        ({"budgets": 0.5}, "budgets: 0.5; expected a list of shares in (0, 1]"),
        ({"budgets": []}, "budgets: []; expected a list of shares in (0, 1]"),
        ({"budgets": [0.5, "a"]}, "expected a list of shares in (0, 1]"),
        ({"budgets": [0.5, 1.5]}, "budgets: [0.5, 1.5]; expected a list of shares in (0, 1]"),
        ({"budgets": [0.5, 0.2, 0.5]}, "budgets: [0.5, 0.2, 0.5]; expected each share once"),
        ({"labels": lambda labels: labels * 0}, "labels: all are 0; expected two classes or more"),
        ({"recipe": {"steps": 3}}, "recipe: dict; expected api.Recipe("),
        ({"split": (0.6, 0.2)}, "split: tuple; expected api.Split("),
        ({"seed": "0"}, "seed: str; expected a whole number"),
        ({"device": "gpu"}, "device: 'gpu' cannot be used (RuntimeError: "),
    ],
)
def test_a_problem_of_wrong_inputs_is_refused_before_anything_is_trained(
    data: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("benchmark.training.loop.sgd", None)
    given: dict[str, Any] = {"model": Classifier(), "budgets": [0.5], "recipe": RECIPE, **change}
    for key, value in (("images", data.images), ("labels", data.labels)):
        given[key] = given[key](value) if key in given else value
    with pytest.raises(BenchError, match=re.escape(message)):
        api.problem(**given)


def test_a_search_refuses_what_it_cannot_do_before_anything_is_trained(
    data: Any, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = api.problem(model, data.images, data.labels, budgets=[0.5, 1e-6], recipe=RECIPE)
    monkeypatch.setattr("benchmark.training.loop.sgd", None)
    with pytest.raises(BenchError, match="budget 1e-06: below the smallest channel architecture"):
        api.search("lottery_ticket", problem)
    with pytest.raises(BenchError, match="problem: VGG16; expected what api"):
        api.search("lottery_ticket", model)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="method: int; expected the name of a method"):
        api.search(1, problem)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.compile])
def test_what_is_wrapped_around_a_model_is_taken_off(data: Any, wrap: Any) -> None:
    torch.manual_seed(0)
    plain = Classifier()
    wrapped = wrap(plain)
    expected, found = (
        api.search("magnitude", api.problem(one, data.images, data.labels, budgets=[0.5], recipe=RECIPE))[0]
        for one in (plain, wrapped)
    )
    assert found.architecture.digest == expected.architecture.digest
    network = api.extract(wrapped, found)
    assert network.state_dict().keys() == plain.state_dict().keys()
    problem = api.problem(wrapped, data.images, data.labels, budgets=[0.5], recipe=RECIPE, pretrained=True)
    assert api.evaluate(problem, wrapped) == api.evaluate(problem, plain)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_weights_of_a_wrapped_model_are_loaded(data: Any, model: torch.nn.Module, tmp_path: Path, prefix: str) -> None:
    from safetensors.torch import save_file

    found = api.search("uniform", of(data, model))[0]
    state = {name: torch.full_like(tensor, 2) for name, tensor in model.state_dict().items()}
    save_file({f"{prefix}{name}": tensor for name, tensor in state.items()}, tmp_path / "wrapped.safetensors")
    large = api.large_model(found.architecture)
    api.load_weights(large, found.architecture, tmp_path / "wrapped.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in large.state_dict().items())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Classifier(lambda logits: [logits]), "found: Classifier is no classifier: a list comes out"),
        (Classifier().double(), "found: a.weight is torch.float64"),
        (torch.nn.Flatten(), "found: Flatten has no parameters"),
        (None, "found: NoneType; expected one sub-network or architecture"),
    ],
    ids=["list", "double", "no parameters", "None"],
)
def test_what_cannot_be_measured_is_refused(data: Any, model: torch.nn.Module, found: Any, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)):
        api.evaluate(of(data, model), found)


def test_labels_that_no_logit_stands_for_are_refused(data: Any, model: torch.nn.Module) -> None:
    problem = of(data, model)
    found = api.search("uniform", problem)[0]
    with pytest.raises(BenchError, match="labels: up to 5, but the model gives 3 logits"):
        api.evaluate(problem, found, data.images, data.labels + 3)
    with pytest.raises(BenchError, match="recipe: dict; expected api"):
        api.finetune(problem, found, data.images, data.labels, recipe={"steps": 1})  # type: ignore[arg-type]


def test_an_architecture_names_a_model_with_more_outputs_than_the_source_has_classes(data: Any) -> None:
    large = api.build_model(api.ModelRef(name="own:vgg16", width=0.0625), in_channels=1, classes=10, image_size=8)
    found = api.search("uniform", of(data, large))[0]
    assert api.extract(api.large_model(found.architecture), found)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ref": "own:vgg16"}, "ref: str; expected api.ModelRef"),
        ({"classes": 0}, "classes: 0; expected a number from 1"),
        ({"image_size": 8.0}, "image_size: float; expected a number from 1"),
    ],
)
def test_a_model_of_no_size_is_refused(wrong: dict[str, Any], message: str) -> None:
    given = {"ref": api.ModelRef(name="own:vgg16"), "in_channels": 1, "classes": 3, "image_size": 8, **wrong}
    with pytest.raises(BenchError, match=message):
        api.build_model(**given)


# Unusual structures


class Unusual(torch.nn.Module):
    """Three convolutions and a classifier, of eight channels each; `between` runs behind the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (torch.nn.Conv2d(n, 8, 3, padding=1) for n in (1, 8, 8))
        self.fc = torch.nn.Linear(8, 3)

    def between(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(x)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.c(self.between(self.a(images).relu()).relu()).relu().mean((2, 3)))


class SharedNorm(Unusual):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(8)

    def between(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.b(self.norm(x)))


class UnderTwoNames(Unusual):
    def __init__(self) -> None:
        super().__init__()
        self.again = torch.nn.ModuleList([self.b, self.c])


class NestedTwice(Unusual):
    def __init__(self) -> None:
        super().__init__()
        inner = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 1), torch.nn.ReLU())
        self.b = torch.nn.Sequential(inner, torch.nn.Sequential(inner, torch.nn.BatchNorm2d(8)))


class Volume(Unusual):
    """Its channels are, for one layer, the depth of a volume."""

    def __init__(self) -> None:
        super().__init__()
        self.volume, self.b = torch.nn.Conv3d(1, 2, 3, padding=1), torch.nn.Conv2d(16, 8, 1)

    def between(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.volume(x[:, None]).flatten(1, 2))


class Rows(Unusual):
    """A view makes one dimension of channels and rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = torch.nn.Linear(8, 8)

    def between(self, x: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = x.shape
        return self.b(self.rows(x.view(count, channels * height, width)).view(count, channels, height, width))


class OneGate(Unusual):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.slope = torch.nn.Conv2d(8, 1, 1), torch.nn.PReLU(8)

    def between(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.b(self.slope(x)), 0.2, self.training) * self.gate(x).sigmoid()


class Recurrent(Unusual):
    def __init__(self) -> None:
        super().__init__()
        self.sequence = torch.nn.LSTM(8, 8, batch_first=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.c(self.b(self.a(images).relu())).flatten(2).transpose(1, 2)
        return self.fc(self.sequence(x)[0][:, -1])


class ChangesItsInput(Unusual):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.sub_(0.5).div_(0.3))


class Centred(Unusual):
    """What it subtracts is in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.rand(1, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images - self.get_buffer("mean"))


class WithNothing(Unusual):
    """It has a parameter of no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.empty(0))


KINDS = [
    SharedNorm,
    UnderTwoNames,
    NestedTwice,
    Volume,
    Rows,
    OneGate,
    Recurrent,
    ChangesItsInput,
    Centred,
    WithNothing,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_unusual_networks_go_all_the_way(data: Any, granularity: str, kind: type[Unusual]) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    problem = api.problem(model, data.images, data.labels, budgets=[0.9], granularity=granularity, recipe=RECIPE)
    found = api.search("magnitude", problem)[0]
    network = api.extract(model, found).eval()
    images = problem.train.normalise(data.images[:3])
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        torch.testing.assert_close(
            network(images.clone()),
            problem.space.run(model, tensors, found.mask.float(), images.clone()),
            rtol=1e-4,
            atol=1e-5,
        )
    if granularity == "channel":
        assert sum(parameter.numel() for parameter in network.parameters()) == problem.space.params(found.mask)
        assert problem.space.params(found.mask) <= 0.9 * problem.space.total
    recipe = api.FineTuning(steps=2, batch=10, lr=0.01, norm_momentum=0.5)
    tuned = api.finetune(problem, found, data.images[:30], data.labels[:30], "fresh", recipe)
    assert 0 <= api.evaluate(problem, tuned) <= 1


def test_a_frozen_layer_stays_as_it_is(data: Any) -> None:
    model = Unusual()
    model.a.requires_grad_(False)
    problem = api.problem(model, data.images, data.labels, budgets=[0.9], recipe=RECIPE, pretrained=True)
    found = api.search("uniform", problem)[0]
    recipe = api.FineTuning(steps=2, batch=10, lr=0.01, norm_momentum=0.5)
    tuned = api.finetune(problem, found, data.images[:30], data.labels[:30], "inherit", recipe)
    cut = api.extract(model, found)
    assert torch.equal(tuned.a.weight, cut.a.weight) and not torch.equal(tuned.b.weight, cut.b.weight)
