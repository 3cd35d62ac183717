"""Pruners by name: the method under study, every class in `baselines/`, and those of installed packages.

Modules are found and imported at run time, never by an import statement, so that a search job's code
fingerprint covers its own pruner and none of the others.
"""

import importlib
import inspect
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from benchmark.errors import BenchError, unknown
from benchmark.plugins import loaded_class
from benchmark.pruning.looks import ENTRY_POINTS, RIVALS, STUDIED
from benchmark.pruning.pruner import Pruner


@cache
def pruners() -> dict[str, type[Pruner]]:
    """Return every registered pruner class by its name."""
    found: dict[str, type[Pruner]] = {}
    rivals = pkgutil.iter_modules(importlib.import_module(RIVALS).__path__, f"{RIVALS}.")
    for module in map(importlib.import_module, [STUDIED, *(info.name for info in rivals)]):
        for _, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ == module.__name__ and issubclass(member, Pruner):
                _add(found, member)
    for point in entry_points(group=ENTRY_POINTS):
        _add(found, loaded_class(point, Pruner))
    return dict(sorted(found.items()))


def _add(found: dict[str, type[Pruner]], member: type[Pruner]) -> None:
    if member.name in found:
        raise BenchError(f"two pruners are named {member.name!r}; rename one of them or uninstall its package")
    found[member.name] = member


def pruner(name: str, where: str = "method") -> type[Pruner]:
    """Return the pruner class `name`; `BenchError` with a did-you-mean if there is none."""
    known = pruners()
    if name not in known:
        raise unknown("method", name, known, where)
    return known[name]
