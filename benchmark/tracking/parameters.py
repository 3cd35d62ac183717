"""The parameters that results were made with: all that have an effect, with the default where none is given."""

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmark.config.params import Params, parse
from benchmark.config.yaml_file import read_yaml
from benchmark.errors import BenchError
from benchmark.files import canonical_json, read_json, sha256
from benchmark.pruning.registry import pruner

# What a run says of its place in the grid; a method's parameter of the same name carries the method's name.
AXES = ("method", "granularity", "cost", "budget", "weights", "seed", "control", "retraining")
# Axes of the grid, and names, are no parameters: with one seed more, the runs of the others stay.
_NOT_OF = {
    "transfer": {
        *("weights", "shots", "finetune_shots", "draws", "headline", "retrainings", "controls"),
        *("distil", "distillation"),
    }
}
_SECTIONS = ("model", "data", "training", "transfer")


def effective(params: Params, suite: str, method: str, variant: str = "") -> dict[str, str]:
    """Return every parameter of a method's variant in a suite, as text by name.

    The method's own have the names of its class; the suite's are named by their keys below the suite
    ("training.lr", "transfer.finetune.steps"). What is None is left out, and of distillation all where there is none.
    """
    config, section = params.suites[suite], params.method(method)
    changed = section.variants[variant].params if variant else {}
    given = {**section.params, **changed, **config.method(method).params}
    own = parse(pruner(method).Parameters, given, "params.yaml", f"methods.{method}.params")
    found = {f"{method}.{name}" if name in AXES else name: value for name, value in own.model_dump(mode="json").items()}
    for name in _SECTIONS:
        found |= _flat(name, getattr(config, name).model_dump(mode="json", exclude=_NOT_OF.get(name)))
    if (kind := params.distil_of(suite, method, variant)) != "none":
        found |= {"distil": kind} | _flat("distillation", config.transfer.distillation.model_dump(mode="json"))
    return {name: _text(value) for name, value in found.items() if value is not None}


def parameters_hash(values: dict[str, str]) -> str:
    """Return eight hexadecimal digits that stand for these parameters."""
    return sha256(canonical_json(values))[:8]


class Recorded:
    """What dvc.lock and the files below reports/code say of the settings behind result files; without, nothing."""

    def __init__(self, root: Path) -> None:
        self._root, path = root, root / "dvc.lock"
        content = read_yaml(path) if path.exists() else {}
        self._stages: dict[str, Any] = content.get("stages") or {}

    def behind(self, params: Params, suite: str, method: str, results: Path) -> Params:
        """Return `params` with the values that the file `results` of a method was made with.

        They differ when params.yaml was edited since. A file that the lock does not know, or knows by another hash, was
        made outside the pipeline, by `dapbench run`: then `params` are returned. Raises `BenchError` for recorded
        values that are no longer valid, and where the stage `code` has written others since.
        """
        stage = self._stages.get(f"transfer@{suite}-{method}")
        if stage is None or _md5(results) not in [out.get("md5") for out in stage.get("outs", ())]:
            return params
        held = self._root / "reports" / "code" / suite / "transfer.json"
        wanted = next((one["md5"] for one in stage["deps"] if (self._root / one["path"]) == held), None)
        settings = read_json(held).get("settings", {}) if _md5(held) == wanted else None
        if settings is None:
            raise BenchError(f"{results}: {held} no longer holds the settings it was made with; run `dvc repro` first")
        content: Any = params.model_dump(mode="json", exclude_unset=True)
        content["compute"] = content.get("compute", {}) | settings.pop("compute", {})
        content["suites"][suite] |= settings
        return parse(Params, content, str(held))


def _md5(path: Path) -> str:
    """The hash that DVC knows a file by."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.exists() else ""


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: one for part, inner in value.items() for key, one in _flat(f"{name}.{part}", inner).items()}
    if isinstance(value, list) and all(isinstance(item, dict) and "label" in item for item in value):
        labelled = {item["label"]: {k: v for k, v in item.items() if k != "label"} for item in value}
        return _flat(name, labelled)
    return {name: value}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
