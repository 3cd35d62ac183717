"""Large models on the command line: what is listed, and what is refused before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.config.params import ModelRef
from benchmark.models import build, model_names


def invoke(line: str) -> Result:
    return CliRunner().invoke(app, line.split())


def test_models_are_listed_and_those_of_libraries_by_their_name() -> None:
    told = " ".join(invoke("models").stdout.split())
    for text in (
        "own:resnet20",
        "own:vgg16",
        "torchvision:NAME One of torchvision's classifiers; `dapbench models torchvision` lists them.",
        "timm:NAME One of timm's; `dapbench models timm` lists them.",
        "python:package.module:",
    ):
        assert text in told
    for library in ("torchvision", "timm"):
        assert invoke(f"models {library}").stdout.split() == model_names(library)
    assert len(model_names("torchvision")) == 80


def test_a_prefix_or_a_part_of_a_name_lists_models_one_to_a_line() -> None:
    assert invoke("models torchvision:squeeze").stdout.split() == [
        "torchvision:squeezenet1_0",
        "torchvision:squeezenet1_1",
    ]
    assert invoke("models own:").stdout.split() == ["own:resnet20", "own:vgg16"]
    inside = invoke("models resnet18").stdout.split()
    assert {"torchvision:resnet18", "timm:resnet18"} < set(inside)
    assert "no model begins with 'resnet-18'" in fault("models resnet-18")


def described(path: Path, **model: Any) -> str:
    """A params.yaml with the suite `tiny`, and another one, which nobody asks for."""
    content = yaml.safe_load(path.read_text())
    suite = content["suites"]["tiny"]
    suite["grid"].update(granularities=["channel"], budgets=[0.5])
    suite["methods"].pop("dap")
    content["suites"]["other"] = {**suite, "model": model.pop("other", {"name": "own:vgg16"})}
    suite["model"] = model
    path.write_text(yaml.safe_dump(content))
    return f"validate --suite tiny --params {path}"


def fault(line: str) -> str:
    result = invoke(line)
    assert result.exit_code == 2, result.output
    (told,) = result.stderr.splitlines()
    return told


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "torchvision:resnet81"}, "params.yaml: suites.tiny.model.name: unknown model"),
        ({"name": "own:vgg16", "file": "gone.pth"}, "suites.tiny.model.file: gone.pth is no file"),
        ({"name": "own:vgg16", "pretrained": True}, "suites.tiny.model.pretrained: nobody publishes weights of own:"),
        ({"name": "torchvision:resnet18", "width": 0.5}, "suites.tiny.model.width: only own: models"),
        ({"name": "own:vgg16", "options": {"a": [1]}}, "suites.tiny.model.options.a"),
        ({"name": "own:vgg16", "pretrain": True}, "suites.tiny.model.pretrain: unknown key; did you mean 'pretrained'"),
        (
            {"name": "torchvision:inception_v3"},
            "suites.tiny.model: torchvision:inception_v3: cannot classify images of 8x8",
        ),
        ({"name": "own:vgg16", "other": {"name": "own:vgg61"}}, "suites.other.model.name: unknown model 'own:vgg61'"),
    ],
)
def test_a_wrong_model_is_refused_before_anything_is_trained(
    model: dict[str, Any], message: str, tiny_params: Path
) -> None:
    assert message in fault(described(tiny_params, **model))


def test_another_suite_s_library_is_not_asked(tiny_params: Path) -> None:
    other = {"name": "timm:no_such_model", "file": "/gone"}
    result = invoke(described(tiny_params, name="own:vgg16", width=0.0625, other=other))
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_file_is_read_again_when_it_changed(tiny_params: Path) -> None:
    path = tiny_params.parent / "w.safetensors"
    ref = ModelRef(name="own:vgg16", width=0.0625)
    save_file(build(ref, 1, 3, 8).state_dict(), path)
    line = described(tiny_params, name=ref.name, width=ref.width, file=str(path))
    assert invoke(line).exit_code == 0
    save_file(build(ref, 1, 3, 8).features.state_dict(), path)
    assert f"{path}: not the weights of own:vgg16" in fault(line)
