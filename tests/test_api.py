import re
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import api
from benchmark.errors import BenchError

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
    assert short.count("0.0625") == 1
    assert "steps=4" in short
    found: dict[str, Any] = {}
    exec(short, found)
    architecture, network = found["architecture"], found["network"]
    assert sum(p.numel() for p in network.parameters()) == architecture.meta["params"]
    assert 0.04 < architecture.meta["complexity"] <= 0.05
    assert api.Architecture.load(tmp_path / "dap.safetensors").digest == architecture.digest
    assert len(example.strip().splitlines()) <= 10


def test_a_search_depends_on_its_seed_only_and_leaves_the_model_alone(data: Any, model: torch.nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    digests = []
    for seed in (0, 0, 1):
        problem = api.problem(model, data.images, data.labels, budgets=[0.1, 0.3], seed=seed, recipe=RECIPE)
        found = api.search("random", problem)
        assert [architecture.meta["budget"] for architecture in found] == [0.3, 0.1]
        digests.append([architecture.digest for architecture in found])
        assert digests[-1] == [architecture.digest for architecture in api.search("random", problem)]
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
        architecture = api.search("magnitude", problem)[0]
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
    architecture = api.search("uniform", problem)[0]
    architecture.meta["model"] = {"name": "own:vgg16", "width": 0.0625}
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
    architecture = api.search("uniform", problem)[0]
    architecture.meta["model"] = {"name": "own:vgg16", "width": 0.0625}
    state = {name: torch.full_like(tensor, 2) for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "full.safetensors")
    large = api.large_model(architecture)
    api.load_weights(large, architecture, tmp_path / "full.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in large.state_dict().items())
    save_file({**state, "head.bias": torch.zeros(7)}, tmp_path / "other.safetensors")
    with pytest.raises(BenchError, match=re.escape("weights of another model (head.bias differs)")):
        api.load_weights(large, architecture, tmp_path / "other.safetensors")


def test_an_architecture_without_its_model_s_name_says_so(data: Any, model: torch.nn.Module) -> None:
    problem = api.problem(model, data.images, data.labels, budgets=[0.2], recipe=RECIPE)
    with pytest.raises(BenchError, match="do not name the large model"):
        api.large_model(api.search("uniform", problem)[0])
