"""The settings behind result files: those of the pipeline's run, not those that params.yaml says since."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from benchmark.config.params import Params, parse
from benchmark.errors import BenchError
from benchmark.pipeline.stages import stage
from benchmark.tracking.parameters import Recorded


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def results(tiny_text: str, tmp_path: Path) -> Path:
    """A result file, as the pipeline made it from the suite `tiny`: with a code file and an entry of the lock."""
    params = parse(Params, yaml.safe_load(tiny_text), "params.yaml")
    assert stage(params, "code", "tiny", root=tmp_path) == 0
    path = tmp_path / "reports" / "results" / "tiny" / "uniform.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    code = "reports/code/tiny/transfer.json"
    deps, outs = [{"path": code, "md5": md5(tmp_path / code)}], [{"path": "uniform.json", "md5": md5(path)}]
    lock = {"schema": "2.0", "stages": {"transfer@tiny-uniform": {"deps": deps, "outs": outs}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    return path


def edited(tiny_text: str) -> Params:
    content = yaml.safe_load(tiny_text)
    content["suites"]["tiny"]["training"]["steps"] += 1
    return parse(Params, content, "params.yaml")


def test_an_edit_since_changes_no_settings(results: Path, tiny_text: str, tmp_path: Path) -> None:
    now, before = edited(tiny_text), parse(Params, yaml.safe_load(tiny_text), "params.yaml")
    found = Recorded(tmp_path).behind(now, "tiny", "uniform", results)
    assert found.suites["tiny"] == before.suites["tiny"] != now.suites["tiny"]
    assert found.compute == before.compute


def test_what_the_pipeline_did_not_make_has_the_present_settings(results: Path, tiny_text: str, tmp_path: Path) -> None:
    now = edited(tiny_text)
    results.write_text(json.dumps({"rows": []}))
    assert Recorded(tmp_path).behind(now, "tiny", "uniform", results) is now
    (tmp_path / "dvc.lock").unlink()
    assert Recorded(tmp_path).behind(now, "tiny", "uniform", results) is now


def test_settings_that_were_written_over_are_not_guessed(results: Path, tiny_text: str, tmp_path: Path) -> None:
    now = edited(tiny_text)
    assert stage(now, "code", "tiny", root=tmp_path) == 0
    with pytest.raises(BenchError, match=r"no longer holds the settings it was made with; run `dvc repro` first"):
        Recorded(tmp_path).behind(now, "tiny", "uniform", results)
