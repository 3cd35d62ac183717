"""Architecture files whose metadata are not what a search writes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.errors import BenchError
from benchmark.space import Architecture
from benchmark.space.foreign import read_architecture

META = {"input": [1, 8, 8], "classes": 3, "seed": 0, "budget": 0.1, "method": "dap"}


def saved(path: Path, meta: Any = META, units: int = 4) -> Path:
    Architecture("channel", {"layer": torch.ones(units, dtype=torch.bool)}, meta).save(path)
    return path


def test_what_a_search_writes_is_read(tmp_path: Path) -> None:
    assert read_architecture(saved(tmp_path / "a.safetensors")).meta == META


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"input": [1, 8]}, "meta.input"),
        ({"input": [1, 10**9, 8]}, "meta.input.1"),
        ({"classes": "three"}, "meta.classes"),
        ({"seed": -1}, "meta.seed"),
        ({"budget": "a tenth"}, "meta.budget"),
        ({"complexity": [1]}, "meta.complexity"),
        ({"params": 1.5}, "meta.params"),
        ({"model": "own:vgg16"}, "meta.model"),
        ({"method": None}, "meta.method"),
    ],
)
def test_metadata_of_another_kind_are_named(changes: dict[str, Any], key: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {**META, **changes})
    with pytest.raises(BenchError) as caught:
        read_architecture(path)
    assert str(caught.value).startswith(f"{path}: {key}")


def test_an_architecture_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="a layer without units"):
        read_architecture(saved(tmp_path / "a.safetensors", units=0))
