"""Networks as files: what is written, who can read it, and that it computes what the masked large model computes."""

import json
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call

from benchmark import models
from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.models import loader
from benchmark.networks import extraction
from benchmark.space import Architecture, SearchSpace, build_space
from benchmark.space.safetensors_file import encode

SIZE, CLASSES = 32, 5
RESNET, MOBILENET, VIT = "torchvision:resnet18", "torchvision:mobilenet_v3_small", "timm:vit_tiny_patch16_224"
NAMES = [RESNET, MOBILENET, VIT]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


@cache
def built(name: str) -> nn.Module:
    """A large model as it is built, but that it drops nothing by chance."""
    return certain(models.build(ModelRef(name=name), 3, CLASSES, SIZE))


def certain(network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return network


@cache
def space_of(name: str) -> SearchSpace:
    return build_space(built(name), torch.zeros(1, 3, SIZE, SIZE), "channel")


@cache
def large(name: str) -> nn.Module:
    """A large model whose running statistics are those of some images, masked: so its outputs tell images apart."""
    model, space = deepcopy(built(name)).train(), space_of(name)
    mask = space.mask(architecture_of(name)).float()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    usual = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 1.0
    with torch.no_grad():
        functional_call(model, space.gate(dict(model.named_parameters()), mask), (images(64),))
    for layer, momentum in zip(norms, usual, strict=True):
        layer.momentum = momentum
    return model.eval()


def images(count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).to(dtype)


def architecture_of(name: str, budget: float = 0.3) -> Architecture:
    space = space_of(name)
    scores = torch.rand(space.n, generator=torch.Generator().manual_seed(2))
    meta = {"model": {"name": name}, "input": [3, SIZE, SIZE], "classes": CLASSES, "seed": 0}
    return space.architecture(space.project(scores, budget), meta)


def write(name: str, path: Path, model: nn.Module) -> nn.Module:
    """Extract from `model`, write, and return the network that was written."""
    architecture = architecture_of(name)
    network = extraction.extract(model, architecture, space_of(name)).eval()
    extraction.save_network(network, architecture, path, "of a test", space_of(name))
    return network


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_the_network_of_a_file_agrees_with_the_masked_large_model(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    space, model = space_of(name), deepcopy(large(name)).to(dtype).eval()
    write(name, tmp_path / "n.safetensors", model)
    network = certain(extraction.load_network(tmp_path / "n.safetensors"))
    mask = space.mask(architecture_of(name))
    parameters = {key: p.detach().clone().requires_grad_() for key, p in model.named_parameters()}
    shown = images(8, dtype)

    there = functional_call(model, space.gate(parameters, mask.to(dtype)), (shown,))
    here = network(shown)
    assert here.dtype == dtype
    assert relative(here, there) <= TOLERANCE[dtype]
    assert there.std(0).min() > 0.01 * there.abs().max()  # images are told apart, so agreeing means something
    assert relative(there, model(shown)) > 0.1  # and masking does change the outputs

    labels = torch.arange(8) % CLASSES
    for network_or_model in (network, model):
        network_or_model.train()
    nn.functional.cross_entropy(network(shown), labels).backward()
    nn.functional.cross_entropy(
        functional_call(model, space.gate(parameters, mask.to(dtype)), (shown,)), labels
    ).backward()
    expected = space.shrink({key: p.grad for key, p in parameters.items() if p.grad is not None}, mask)
    found = {key: p.grad for key, p in network.named_parameters() if p.grad is not None}
    assert set(found) == set(expected)
    largest = max(gradient.abs().max() for gradient in expected.values())
    for key, gradient in found.items():
        assert (gradient - expected[key]).abs().max() <= 10 * TOLERANCE[dtype] * largest, key
    # What running statistics saw of the step is the same, too.
    for key, buffer in space.shrink(model.state_dict(), mask).items():
        torch.testing.assert_close(network.state_dict()[key] if "running" in key else buffer, buffer)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_to_build_and_what_to_change(name: str, tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    network = write(name, path, large(name))
    description = json.loads(path.with_suffix(".json").read_text())
    architecture = architecture_of(name)
    assert description["model"] == {
        "name": name,
        "in_channels": 3,
        "classes": CLASSES,
        "image_size": SIZE,
        "options": {},
    }
    space = space_of(name)
    mask = space.mask(architecture)
    assert description["changes"] == json.loads(json.dumps(space.changes(mask)))
    assert (description["params"], description["macs"]) == (space.params(mask), space.macs(mask))
    assert description["params"] == sum(parameter.numel() for parameter in network.parameters())
    assert description["kept"] == architecture.kept
    assert description["weights"] == "of a test"
    # By the description and the tensors alone.
    rebuilt = loader.build_large_model(description["model"])
    loader.apply_changes(rebuilt, description["changes"], load_file(path))
    torch.testing.assert_close(rebuilt.eval()(images(2)), network(images(2)))


def test_the_space_need_not_be_at_hand(tmp_path: Path) -> None:
    architecture, model = architecture_of(RESNET), large(RESNET)
    for file, more in (("a.safetensors", {}), ("b.safetensors", {"space": space_of(RESNET)})):
        network = extraction.extract(model, architecture, **more)
        extraction.save_network(network, architecture, tmp_path / file, "of a test", **more)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_single_weights_keep_the_large_model_s_shapes(tmp_path: Path) -> None:
    ref = ModelRef(name="own:vgg16", width=0.0625)
    model = models.build(ref, 1, 3, 8)
    space = build_space(model, torch.zeros(1, 1, 8, 8), "weight")
    meta = {"model": ref.model_dump(), "input": [1, 8, 8], "classes": 3}
    architecture = space.architecture(space.project(torch.rand(space.n), 0.2), meta)
    network = space.extract(model, architecture).eval()
    extraction.save_network(network, architecture, tmp_path / "n.safetensors", "of a test")
    assert json.loads((tmp_path / "n.json").read_text())["changes"] == []
    shown = torch.rand(3, 1, 8, 8)
    assert torch.equal(extraction.load_network(tmp_path / "n.safetensors")(shown), network(shown))


def test_tensors_that_share_their_memory_are_written(tmp_path: Path) -> None:
    """As in a network of tied weights, which safetensors itself refuses."""
    network = write(RESNET, tmp_path / "n.safetensors", large(RESNET))
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    first, same = next((a, b) for a in norms for b in norms if a is not b and a.num_features == b.num_features)
    same.running_mean = first.running_mean
    extraction.save_network(network, architecture_of(RESNET), tmp_path / "s.safetensors", "tied", space_of(RESNET))
    assert torch.equal(extraction.load_network(tmp_path / "s.safetensors")(images(2)), network(images(2)))


# Without this package

ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("benchmark", "baselines"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, "")
import torch
from load_network import load
from safetensors.torch import load_file, save_file

images = load_file("images.safetensors")["images"]
save_file({name: load(name)(images).detach() for name in sys.argv[1:]}, "outputs.safetensors")
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"benchmark", "baselines", "timm", "torchvision"}))
"""


def alone(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Load files in a process that knows nothing of this package but the loader beside them."""
    (folder / "load_network.py").write_bytes(Path(loader.__file__).read_bytes())
    command = [sys.executable, "-I", "-c", ALONE, *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)


def test_the_loader_needs_the_large_model_s_library_only(tmp_path: Path) -> None:
    expected = {}
    for file, name in (("resnet.safetensors", RESNET), ("vit.safetensors", VIT)):
        expected[file] = write(name, tmp_path / file, large(name))(images(3)).detach()
    save_file({"images": images(3)}, tmp_path / "images.safetensors")
    done = alone(tmp_path, *expected)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "timm torchvision\n"
    found = load_file(tmp_path / "outputs.safetensors")
    for file, outputs in expected.items():
        torch.testing.assert_close(found[file], outputs)
        assert outputs.std(0).min() > 1e-3


def test_a_model_of_this_package_needs_it_and_says_so(tmp_path: Path) -> None:
    model = models.build(ModelRef(name="own:vgg16", width=0.0625), 1, 3, 8)
    space = build_space(model, torch.zeros(1, 1, 8, 8), "channel")
    meta = {"model": {"name": "own:vgg16", "width": 0.0625}, "input": [1, 8, 8], "classes": 3}
    architecture = space.architecture(space.project(torch.rand(space.n), 0.5), meta)
    extraction.save_network(space.extract(model, architecture), architecture, tmp_path / "n.safetensors", "", space)
    save_file({"images": torch.zeros(1, 1, 8, 8)}, tmp_path / "images.safetensors")
    done = alone(tmp_path, "n.safetensors")
    assert done.returncode == 1
    assert "No module named 'benchmark" in done.stderr


def test_the_loader_refuses_other_files(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors: not a network of `dapbench extract`"):
        loader.load(tmp_path / "w.safetensors")


def test_the_loader_is_one_small_file_that_imports_torch_and_safetensors() -> None:
    text = Path(loader.__file__).read_text()
    imported = [
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    ]
    assert set(imported) <= {*sys.stdlib_module_names, "torch", "safetensors"}
    assert len(text.splitlines()) < 300


# Files that cannot be loaded


def edited(path: Path, tensors: dict[str, Tensor] | None = None, **changes: Any) -> Path:
    """The file of a network with another description; None removes a key."""
    write(RESNET, path, large(RESNET))
    described = json.loads(path.with_suffix(".json").read_text())
    kept = {key: value for key, value in (described | changes).items() if value is not None}
    path.write_bytes(encode("network", kept, load_file(path) if tensors is None else tensors))
    return path


MODEL = {"name": RESNET, "in_channels": 3, "classes": CLASSES, "image_size": SIZE, "options": {}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"changes": None}, "lacks 'changes'; extract it again"),
        ({"model": None}, "lacks 'model'; extract it again"),
        ({"tensors": {}}, "lacks 'conv1.weight'; extract it again"),
        ({"params": 7}, "its tensors do not fit its description; extract it again"),
        ({"changes": [{"module": "layer9", "set": {"groups": 1}}]}, "cannot be built as it says"),
        ({"model": {**MODEL, "name": "torchvision:resnet19"}}, "unknown model 'torchvision:resnet19'"),
        ({"model": {**MODEL, "name": "python:nowhere.at_all:net"}}, "whose code a file may not choose"),
        ({"model": {**MODEL, "options": {"colour": 1}}}, "cannot be built as it says"),
        ({"model": 7}, "model: Input should be a valid dictionary"),
        ({"changes": [{"module": "conv1", "set": {"__class__": 1}}]}, "changes.0.set"),
        ({"changes": [{"module": "conv1", "replace": "os"}]}, "changes.0.replace"),
        ({"changes": [{"module": "conv1", "sizes": {"view 0": {"1": [4, "os"]}}}]}, "changes.0.sizes"),
        ({"changes": [{"module": "conv1", "sizes": {"os.system": {"1": [4, 3]}}}]}, "changes.0.sizes"),
        ({"meta": {"input": [3, SIZE]}}, "meta.input"),
    ],
)
def test_a_file_that_does_not_fit_is_told_in_one_line(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = edited(tmp_path / "n.safetensors", **changes)
    with pytest.raises(BenchError) as caught:
        extraction.load_network(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trusted_file_names_a_module_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = edited(tmp_path / "n.safetensors", model={**MODEL, "name": "python:nowhere.at_all:net"})
    with pytest.raises(BenchError, match="its large model needs nowhere; install it"):
        extraction.load_network(path, trust=True)


def test_a_library_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(VIT, tmp_path / "n.safetensors", large(VIT))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BenchError, match="its large model needs timm; install it"):
        extraction.load_network(tmp_path / "n.safetensors")


def test_metadata_that_name_no_model_are_told() -> None:
    with pytest.raises(BenchError, match=r"^architecture: model\.nam: unknown key; did you mean 'name'"):
        extraction.model_ref({"model": {"nam": RESNET}})


# The large model's weights


def test_weights_from_elsewhere_are_taken_unless_others_come(tmp_path: Path) -> None:
    donor = large(RESNET)
    save_file(donor.state_dict(), tmp_path / "donor.safetensors")
    meta = {"input": [3, SIZE, SIZE], "classes": CLASSES, "seed": 3}
    file = str(tmp_path / "donor.safetensors")
    architecture = Architecture("channel", {}, {**meta, "model": {"name": RESNET, "file": file}})
    with pytest.raises(BenchError, match="which a file may not fetch; name weights of your own"):
        extraction.large_model(architecture)
    taken = extraction.large_model(architecture, trust=True)
    assert all(torch.equal(tensor, donor.state_dict()[key]) for key, tensor in taken.state_dict().items())
    (tmp_path / "donor.safetensors").unlink()
    drawn = extraction.large_model(architecture, trained=False)
    same = extraction.large_model(Architecture("channel", {}, {**meta, "model": {"name": RESNET}}))
    assert torch.equal(drawn.conv1.weight, same.conv1.weight)
    assert not torch.equal(drawn.conv1.weight, donor.conv1.weight)
    with pytest.raises(BenchError, match=r"donor\.safetensors: no such file"):
        extraction.large_model(architecture, trust=True)
