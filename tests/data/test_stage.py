"""What the stage `data` reports about the sets of a suite."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor

from benchmark.config.params import Params, parse
from benchmark.data import open_prepared
from benchmark.data.splits import split_source, split_target
from benchmark.data.statistics import near_duplicates
from benchmark.pipeline.stages import Places, stage
from benchmark.seeds import derive

Reported = tuple[Params, Path, dict[str, Any]]


def digest(index: Tensor) -> str:
    return hashlib.sha256(index.numpy().astype("<i8").tobytes()).hexdigest()


@pytest.fixture(scope="module")
def reported(tiny_text: str, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A suite with a second target that is part of its source; the folder it was prepared in, and its data.json."""
    content = yaml.safe_load(tiny_text)
    content["suites"]["tiny"]["data"]["targets"].append(
        {"label": "again", "name": "digits", "classes": [[1, 3], 2], "pool": 30, "test": 15}
    )
    params, root = parse(Params, content, "params.yaml"), tmp_path_factory.mktemp("reported")
    assert stage(params, "data", "tiny", root=root) == 0
    return params, root, json.loads(Places(root).results("tiny", "data.json").read_text())


def test_near_duplicates_of_every_target(reported: Reported) -> None:
    params, root, content = reported
    assert set(content["near_duplicates"]) == {"digits-3-5", "again"}
    again = content["near_duplicates"]["again"]
    # The 182 ones and the 177 twos stand in both sets, the threes only in the target.
    assert again["exact"] == 182 + 177
    assert 182 + 177 <= again["images"] <= 182 + 177 + 183
    assert content["near_duplicates"]["digits-3-5"]["exact"] == 0
    data = params.suites["tiny"].data
    source, target = (open_prepared(ref, Places(root).data).images for ref in (data.source, data.targets[1]))
    assert again == near_duplicates(source, target)


def test_parts_are_those_of_the_protocol(reported: Reported) -> None:
    params, root, content = reported
    assert content["targets"]["again"]["split"]["sizes"] == {"pool": 2 * 30, "test": 2 * 15}
    first = content["targets"]["digits-3-5"]
    assert first["split"]["sizes"] == {"pool": 3 * 20, "test": first["count"] - 3 * 20}
    data = params.suites["tiny"].data
    source, again = (open_prepared(ref, Places(root).data) for ref in (data.source, data.targets[1]))
    parts = split_source(source.labels, data.split, derive(1, "split"), source.groups)
    assert content["source"]["split"]["digests"]["1"]["train"] == digest(parts.train)
    target = split_target(again.labels, 30, derive(1, "target", "again"), again.groups, 15)
    assert content["targets"]["again"]["split"]["digests"]["1"] == {
        "pool": digest(target.pool),
        "test": digest(target.test),
    }
