"""Large models that a file names: which are built, and how large they may be."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.errors import BenchError
from benchmark.models.foreign import check_described

MODEL: dict[str, Any] = {"name": "own:vgg16", "in_channels": 3, "classes": 10, "image_size": 32, "options": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"width": 0.125}},
        {"name": "own:resnet20"},
        {"name": "torchvision:resnet18"},
        {"name": "timm:resnet18", "options": {"drop_path_rate": 0.1}},
    ],
)
def test_registered_models_of_bounded_size_pass(changes: dict[str, Any]) -> None:
    before = torch.random.get_rng_state()
    check_described({**MODEL, **changes})
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "python:left_behind:net"}, "whose code a file may not choose"),
        ({"name": "timm:hf-hub:someone/model"}, "whose code a file may not choose"),
        ({"name": "timm:local-dir:/etc"}, "whose code a file may not choose"),
        ({"name": "own:../../etc"}, "whose code a file may not choose"),
        ({"name": "own:vgg17"}, "unknown model"),
        ({"name": "timm:resnet18", "options": {"pretrained": True}}, "the option 'pretrained'"),
        ({"name": "timm:resnet18", "options": {"checkpoint_path": "x.pth"}}, "the option 'checkpoint_path'"),
        ({"name": "timm:resnet18", "options": {"pretrained_cfg_overlay": "x"}}, "the option 'pretrained_cfg_overlay'"),
        ({"options": {"width": 300.0}}, "more than 1,000,000,000 parameters"),
        ({"options": {"width": 10.0**9}}, "the option 'width'"),
        ({"classes": 10**9}, "model.classes"),
        ({"image_size": "32"}, "model.image_size"),
        ({"options": {"a": {"b": 1}}}, "model.options.a"),
        ({"weights": "DEFAULT"}, "model.weights"),
    ],
)
def test_everything_else_is_refused_before_it_is_built(
    changes: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left_behind.py").write_text("raise SystemExit('the file chose what code runs')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BenchError) as caught:
        check_described({**MODEL, **changes})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "left_behind" not in sys.modules


def test_a_network_of_too_many_modules_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.models.foreign.MODULES", 10)
    with pytest.raises(BenchError, match="more than 10 modules"):
        check_described({**MODEL, "options": {"width": 0.125}})
