"""The suite `timm` end to end, as a dry run: tiny images, a tiny model, random weights in a local file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pages import ROOT
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from benchmark import models
from benchmark.analysis.rows import read_results
from benchmark.api import load_params
from benchmark.cli import app
from benchmark.config.params import ModelRef

MODEL = "timm:test_resnet"
SIZE, EACH = 16, 16


def write_images(folder: Path, classes: int, seed: int) -> None:
    """Images whose classes differ in colour, which a network can tell."""
    random = np.random.default_rng(seed)
    for label in range(classes):
        colour = random.integers(0, 200, 3)
        (folder / str(label)).mkdir(parents=True)
        for index in range(EACH):
            pixels = (colour + random.integers(0, 56, (SIZE, SIZE, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{index}.png")


def shrink(content: dict[str, Any], folder: Path) -> None:
    """The suite as it stands, but for data, sizes and lengths."""
    content["run"] = {"suites": ["timm"], "methods": list(content["suites"]["timm"]["methods"])}
    content["compute"] = {"workers": 1, "threads": 1, "device": "cpu"}
    suite = content["suites"]["timm"]
    for number, ref in enumerate((suite["data"]["source"], *suite["data"]["targets"])):
        ref.update(name=f"imagefolder:{folder / str(number)}", size=SIZE)
        write_images(folder / str(number), 4 if number == 0 else 3, number)
        ref.pop("test", None)
    suite["data"]["split"] = {"train": 0.6, "validation": 0.2}
    suite["model"].update(name=MODEL, file=str(folder / "weights.safetensors"))
    suite["grid"].update(budgets=[0.5, 0.2], seeds=[0])
    # bfloat16 is a GPU's precision; what a CPU makes of it on maps this small is not always finite.
    suite["training"].update(steps=6, batch=16, shift=1, precision="float32")
    suite["transfer"]["draws"] = 1
    for recipe in ("finetune", "scratch"):
        suite["transfer"][recipe].update(steps=2, batch=8, shift=1, precision="float32")
    suite["methods"]["dap"]["params"].update(steps=2)
    suite["methods"]["lottery_ticket"]["params"].update(drop=0.7)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timm")
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    shrink(content, folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    pretrained = models.build(ModelRef(name=MODEL), 3, 10, SIZE)
    models.initialise(pretrained, 123)
    save_file(pretrained.state_dict(), folder / "weights.safetensors")
    for command in ("validate --suite timm", "run --suite timm --jobs 1", "report --suite timm"):
        result = CliRunner().invoke(app, [*command.split(), "--params", str(folder / "params.yaml")])
        assert result.exit_code == 0, result.output
    return folder


def test_every_method_has_its_rows(ran: Path) -> None:
    described = load_params(ran / "params.yaml")
    for method in described.suites["timm"].methods:
        rows, _ = read_results(ran / "reports" / "results" / "timm" / f"{method}.json")
        variants = 2 if method == "magnitude" else 1
        budgets = 1 if method == "dense" else 2
        # targets x weights modes x shots
        assert len(rows) == 3 * 2 * 2 * budgets * variants
        assert {row.target for row in rows} == {"flowers102", "dtd", "pets"}
        assert {row.pretrain_flops for row in rows} == {0}


def test_the_network_the_searches_saw_is_the_pretrained_one_with_a_readout(ran: Path) -> None:
    given = load_file(ran / "weights.safetensors")
    (path,) = (path for path in (ran / ".jobs").glob("??/*/final.safetensors"))
    found = load_file(path)
    assert found["fc.weight"].shape[0] == 4
    assert all((found[name] == tensor).all() for name, tensor in given.items() if not name.startswith("fc."))


def test_the_report_says_where_the_large_model_comes_from(ran: Path) -> None:
    page = (ran / "reports" / "index.html").read_text()
    assert "timm:test_resnet, pretrained elsewhere" in page


def test_the_real_suite_is_pretrained_and_not_part_of_the_pipeline() -> None:
    described = load_params(ROOT / "params.yaml")
    suite = described.suites["timm"]
    assert suite.model.pretrained
    assert suite.model.library == "timm"
    assert {target.name for target in suite.data.targets} == {
        "torchvision:Flowers102",
        "torchvision:DTD",
        "torchvision:OxfordIIITPet",
    }
    assert suite.transfer.shots == [5, 10]
    assert "timm" not in described.run.suites
    models.check_ref(suite.model, "suites.timm.model")
