"""docs/taking-away.md, done as it says, and what `dapbench extract` writes besides the network."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from architecture_files import architecture
from pages import ROOT, blocks, files, run
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.models import loader
from benchmark.networks.extraction import load_network

PAGE = "docs/taking-away.md"


def invoke(line: str, *more: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [*shlex.split(line)[1:], *more], env={"COLUMNS": "250"})
    return done.exit_code, done.stdout, done.stderr


def test_the_page_s_way_from_an_architecture_to_somebody_else_s_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line.strip() for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("    dapbench ")]
    loader, exporting, measuring = lines
    large = run(PAGE)["model"]
    assert invoke(loader)[0] == 0

    # Their program, where this package cannot be imported.
    refuse = "import sys; sys.modules.update(dict.fromkeys(['benchmark', 'baselines'])); sys.path.insert(0, ''); "
    their = files(PAGE)["theirs.py"]
    (expected,) = (output for code, output in blocks(PAGE, "python") if code == their)
    command = [sys.executable, "-I", "-c", refuse + f"exec({their!r})"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.stdout, done.stderr) == (expected, "")

    code, told, _ = invoke(exporting)
    assert code == 0
    assert {"network.onnx", "network.pt2"} <= {line.partition(":")[0] for line in told.splitlines()}
    images = torch.randn(3, 3, 32, 32)
    network = load_network(Path("network.safetensors"))
    with torch.inference_mode():
        outputs = network(images)
        torch.testing.assert_close(torch.export.load("network.pt2").module()(images), outputs)
        assert sum(p.numel() for p in network.parameters()) <= 0.05 * sum(p.numel() for p in large.parameters())
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    torch.testing.assert_close(found, outputs, rtol=1e-4, atol=1e-5)

    code, told, _ = invoke(measuring, "--repeats", "2", "--warmup", "1")
    assert code == 0
    assert "dense torchvision:resnet18" in told
    rows = json.loads(Path("measured.json").read_text())["rows"]
    assert [(row["file"], row["batch"]) for row in rows] == [
        (file, batch) for batch in (1, 64) for file in ("dense", "network.safetensors")
    ]


def test_the_page_names_what_a_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    architecture(tmp_path)
    assert invoke("dapbench extract a.safetensors --out n.safetensors")[0] == 0
    text = (ROOT / PAGE).read_text()
    description = json.loads(Path("n.json").read_text())
    for key in ("model", "changes", "weights", "params", "macs", "layers", "meta"):
        assert key in description
        assert f"`{key}`" in text
    from safetensors import safe_open

    with safe_open("n.safetensors", "pt") as file:
        assert json.loads(file.metadata()["dapbench-network"]) == description


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an architecture file `a.safetensors`, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    architecture(tmp_path)
    return tmp_path


def test_extract_tells_what_it_writes(folder: Path) -> None:
    line = "dapbench extract a.safetensors --out n.safetensors --loader l.py --torch-export n.pt2"
    code, told, error = invoke(line)
    assert (code, error) == (0, "")
    assert [text.partition(":")[0] for text in told.splitlines()] == ["n.safetensors", "n.json", "l.py", "n.pt2"]
    assert (folder / "l.py").read_bytes() == Path(loader.__file__).read_bytes()
    assert "untrained" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--out n.safetensors --onnx n.safetensors", "--onnx: n.safetensors is read or written already"),
        ("--out n.safetensors --torch-export n.json", "--torch-export: n.json is read or written already"),
        ("--loader a.safetensors", "--loader: a.safetensors is read or written already"),
        ("--out n.json", "--out: n.json is where the description goes"),
    ],
)
def test_no_file_is_written_twice(options: str, told: str, folder: Path) -> None:
    before = sorted(folder.iterdir())
    code, _, error = invoke(f"dapbench extract a.safetensors {options}")
    assert code == 2
    assert told in error
    assert sorted(folder.iterdir()) == before


def test_weights_of_a_pretrained_model_are_told_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    from benchmark import models
    from benchmark.config.params import ModelRef
    from benchmark.space import Architecture

    ref: dict[str, Any] = {"name": "own:vgg16", "width": 0.0625}
    donor = models.build(ModelRef(**ref), 1, 3, 8)
    save_file(donor.state_dict(), "donor.safetensors")
    found = Architecture.load(Path("a.safetensors"))
    found.meta["model"] = {**ref, "file": "donor.safetensors"}
    found.save(Path("b.safetensors"))
    assert invoke("dapbench extract b.safetensors --out n.safetensors")[0] == 2
    code, told, _ = invoke("dapbench extract b.safetensors --out n.safetensors --trust")
    assert code == 0
    assert "weights pretrained, of donor.safetensors" in told
    written = load_network(Path("n.safetensors"))
    assert torch.equal(written.head.bias, donor.head.bias)
    # With weights of its own, those need not be there.
    Path("donor.safetensors").rename("moved.safetensors")
    assert invoke("dapbench extract b.safetensors --out n.safetensors --trust")[0] == 2
    assert invoke("dapbench extract b.safetensors --out n.safetensors --state moved.safetensors")[0] == 0
