"""What classes of methods say of themselves to a reader, without importing what they compute with."""

import ast
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark.plugins import loaded_class

# By name: this module is plumbing and imports nothing that computes.
PRUNER = "benchmark.pruning.pruner:Pruner"
ENTRY_POINTS = "dapbench.pruners"
STUDIED = "benchmark.dap.pruner"
RIVALS = "baselines"
SAID = ("label", "color", "marker", "reference", "granularities", "uses_pretrained", "trains")


@dataclass(frozen=True)
class Look:
    """What a reader sees of a method; `color` None: it has none of its own.

    The rest is what the class says of itself: see `benchmark.pruning.pruner.Pruner`.
    """

    label: str
    color: str | None = None
    marker: str = "o"
    reference: str = ""
    granularities: tuple[str, ...] = ("channel", "weight", "block", "block+channel")
    uses_pretrained: bool = False
    trains: bool = False

    @property
    def searches(self) -> dict[str, bool]:
        """What its architectures may leave out: width, depth, single weights."""
        served = set(self.granularities)
        return {
            "width": bool(served & {"channel", "block+channel"}),
            # A rule for blocks and channels together that serves no blocks alone keeps all blocks.
            "depth": "block" in served or (self.trains and "block+channel" in served),
            "weights": "weight" in served,
        }


@cache
def looks() -> dict[str, Look]:
    """Return the look of every registered pruner by its name."""
    found = dict(look for path in _files() for look in _described(path))
    for kind in installed():
        found[kind.name] = _look({name: getattr(kind, name) for name in ("name", *SAID)})
    return found


def installed() -> Iterator[type[Any]]:
    """Yield the pruners that other packages bring; these are imported, and so is torch."""
    for point in entry_points(group=ENTRY_POINTS):
        yield loaded_class(point, pkgutil.resolve_name(PRUNER))


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
                target.id: ast.literal_eval(statement.value)
                for statement in node.body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name) and target.id in ("name", *SAID)
            }
            if "name" in said and "reference" in said:
                yield said["name"], _look(said)


def _look(said: dict[str, Any]) -> Look:
    label = said.get("label") or said["name"].replace("_", " ")
    return Look(label, **{name: said[name] for name in SAID if name in said and name != "label"})
