"""What the lists of methods and models say, read from the classes' source: importing them would import torch."""

import ast
import pkgutil
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import Any

from benchmark.pruning.looks import RIVALS, STUDIED, installed

BASE = "benchmark.pruning.pruner"
MODELS = "benchmark.models"
OWN = "own"


@dataclass(frozen=True)
class Listed:
    """A class as lists show it: its docstring's first paragraph in one line, and what it assigns."""

    summary: str
    said: dict[str, Any]


def methods() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return for every registered pruner, by its name, the kinds of units it serves and what it does."""
    usual = _classes(_file(BASE))["Pruner"].said["granularities"]
    files = [_file(STUDIED), *(Path(folder) / f"{name}.py" for folder, name in _modules(RIVALS))]
    found = {
        one.said["name"]: (tuple(one.said.get("granularities", usual)), one.summary)
        for path in files
        for one in _classes(path).values()
        if {"name", "reference"} <= one.said.keys()
    }
    for kind in installed():
        found[kind.name] = (tuple(kind.granularities), summary(kind.__doc__))
    return dict(sorted(found.items()))


def own_models() -> dict[str, str]:
    """Return what each large model of this repository is, by its name in params.yaml."""
    found = {}
    for folder, name in _modules(MODELS, OWN):
        classes = {kind.lower(): one for kind, one in _classes(Path(folder) / f"{name}.py").items()}
        found[f"{OWN}:{name}"] = classes[name].summary
    return found


def summary(docstring: str | None) -> str:
    """Return a docstring's first paragraph in one line."""
    return " ".join(cleandoc(docstring or "").split("\n\n")[0].split())


def _classes(path: Path) -> dict[str, Listed]:
    return {
        node.name: Listed(summary(ast.get_docstring(node)), _said(node))
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ClassDef)
    }


def _said(node: ast.ClassDef) -> dict[str, Any]:
    """The literals that a class assigns to names."""
    found = {}
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
                except (TypeError, ValueError):  # no literal, or none assigned
                    continue
    return found


def _file(module: str) -> Path:
    """The file of a module, of which only the empty packages around it are imported."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def _modules(package: str, below: str = "") -> list[tuple[str, str]]:
    """The folder and name of each module in a package, or in a folder below one that is not to be imported."""
    spec = find_spec(package)
    assert spec is not None
    folders = [str(Path(folder) / below) for folder in spec.submodule_search_locations or ()]
    return [(folder, info.name) for folder in folders for info in pkgutil.iter_modules([folder])]
