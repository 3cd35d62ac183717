"""The large models that docs/extending.md shows are found, built and searched."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pages import blocks, files

from benchmark import api
from benchmark.config.params import DatasetRef, parse
from benchmark.models import build, check_ref

PAGE = "docs/extending.md"


def shown(key: str) -> Any:
    (found,) = (block[key] for code, _ in blocks(PAGE, "yaml") if key in (block := yaml.safe_load(code)))
    return found


def test_the_library_s_models_shown_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refs = [parse(api.ModelRef, entry, PAGE) for entry in shown("models")]
    assert [ref.trained for ref in refs] == [False, False, True, True]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").touch()
    for ref in refs:
        check_ref(ref, PAGE)
    model = build(refs[1], 1, 3, 32).eval()
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_the_factory_shown_is_searched_and_extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(files(PAGE)["my_models.py"])
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        ref = parse(api.ModelRef, shown("model"), PAGE)
        model = api.build_model(ref, in_channels=1, classes=3, image_size=8)
        images = api.load_data(DatasetRef(name="digits", classes=[0, 1, 2]))
        problem = api.problem(model, images.images, images.labels, [0.3])
        assert problem.space.sizes == [16, 16, 16]
        network = api.extract(model, api.search("uniform", problem)[0])
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    finally:
        sys.modules.pop("my_models", None)
