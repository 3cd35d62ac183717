"""How methods are shown: label, colour and marker, as their classes say, without importing what they compute with."""

import ast
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ENTRY_POINTS = "dapbench.pruners"
STUDIED = "benchmark.dap.pruner"
RIVALS = "baselines"


@dataclass(frozen=True)
class Look:
    """What a reader sees of a method; `color` None: it has none of its own."""

    label: str
    color: str | None = None
    marker: str = "o"


@cache
def looks() -> dict[str, Look]:
    """Return the look of every registered pruner by its name."""
    found = dict(look for path in _files() for look in _described(path))
    for point in entry_points(group=ENTRY_POINTS):
        kind = point.load()
        found[kind.name] = _look(kind.name, kind.label, kind.color, kind.marker)
    return found


def _files() -> Iterator[Path]:
    for name in (STUDIED, RIVALS):
        package = find_spec(name.rpartition(".")[0] if name == STUDIED else name)
        folders = package.submodule_search_locations if package is not None else None
        for info in pkgutil.iter_modules(folders):
            if name == RIVALS or name.endswith(f".{info.name}"):
                yield Path(info.module_finder.path) / f"{info.name}.py"  # type: ignore[union-attr]


def _described(path: Path) -> Iterator[tuple[str, Look]]:
    """What the classes of a file say, read from its source: importing it would import torch."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ClassDef):
            said: dict[str, Any] = {
                target.id: statement.value.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            if "name" in said and "reference" in said:
                name = said["name"]
                yield name, _look(name, said.get("label", ""), said.get("color"), said.get("marker", "o"))


def _look(name: str, label: str, color: str | None, marker: str) -> Look:
    return Look(label or name.replace("_", " "), color, marker)
