"""Pruners by name: those of this repository and those of other packages."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

import baselines
from benchmark.cli import listings
from benchmark.config.params import Section
from benchmark.errors import BenchError
from benchmark.pruning import looks, registry
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Foreign(Pruner):
    """Keep the first units. Nobody 1999, Of Firsts."""

    name = "first_units"
    reference = "Nobody 1999"
    granularities: ClassVar[tuple[str, ...]] = ("channel",)

    class Parameters(Section):
        """It has one."""

        offset: int = 3

    def search(self, problem: Problem) -> list[SubNetwork]:
        return []


class Usurper(Foreign):
    """Has the name of another."""

    name = "magnitude"


class Point:
    """An entry point, as importlib.metadata gives them."""

    def __init__(self, loaded: type[Pruner]) -> None:
        self.loaded = loaded

    def load(self) -> type[Pruner]:
        return self.loaded


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    """The entry points of the group `dapbench.pruners`; none at first."""
    points: list[Point] = []

    def entry_points(*, group: str) -> list[Point]:
        return points if group == "dapbench.pruners" else []

    for module in (registry, looks):
        monkeypatch.setattr(module, "entry_points", entry_points)
    registry.pruners.cache_clear()
    yield points
    registry.pruners.cache_clear()


def test_every_file_of_baselines_is_registered_under_its_own_name(installed: list[Point]) -> None:
    files = [info.name for info in pkgutil.iter_modules(baselines.__path__)]
    found = registry.pruners()
    assert list(found) == sorted([*files, "dap"])
    assert found["dap"].__module__ == "benchmark.dap.pruner"
    for name, kind in found.items():
        assert kind.name == name and kind.__module__ in ("benchmark.dap.pruner", f"baselines.{name}")
        assert registry.pruner(name) is kind


def test_a_pruner_of_another_package_is_found_and_listed(installed: list[Point]) -> None:
    installed.append(Point(Foreign))
    assert registry.pruner("first_units") is Foreign
    assert len(registry.pruners()) == len(list(pkgutil.iter_modules(baselines.__path__))) + 2

    from benchmark.cli.program import app

    listed = CliRunner().invoke(app, ["methods"])
    assert listed.exit_code == 0 and "first_units" in listed.output and "Nobody 1999" in listed.output
    told = CliRunner().invoke(app, ["methods", "first_units"])
    assert told.exit_code == 0 and "offset" in told.output and "3" in told.output


def test_two_pruners_of_one_name_are_refused(installed: list[Point]) -> None:
    installed.append(Point(Usurper))
    with pytest.raises(BenchError, match=r"^two pruners are named 'magnitude'; rename one"):
        registry.pruners()


def test_an_unknown_name_gets_a_hint(installed: list[Point]) -> None:
    with pytest.raises(
        BenchError, match=r"^run\.methods: unknown method 'magnitud'; did you mean 'magnitude'\? known: "
    ):
        registry.pruner("magnitud", "run.methods")


def test_a_class_that_a_module_only_imports_is_not_its_pruner(
    installed: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("baselines.extra")
    own = type("Own", (Foreign,), {"name": "own", "__module__": "baselines.extra"})
    vars(module).update(Own=own, Foreign=Foreign, Pruner=Pruner)
    monkeypatch.setitem(sys.modules, "baselines.extra", module)
    assert importlib.import_module("baselines.extra") is module
    known = list(pkgutil.iter_modules(baselines.__path__))
    more = [info._replace(name=f"baselines.{info.name}") for info in [*known, known[0]._replace(name="extra")]]
    monkeypatch.setattr(pkgutil, "iter_modules", lambda _path, _prefix: iter(more))
    assert registry.pruners()["own"] is own
    assert "first_units" not in registry.pruners()


class Broken:
    """An entry point whose package cannot be imported, or names something else."""

    name, group, value = "broken", "dapbench.pruners", "broken:Broken"

    def __init__(self, given: object) -> None:
        self.given = given

    def load(self) -> object:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ImportError("No module named 'gone'"),
            r"broken:Broken cannot be loaded \(ImportError: No module named 'gone'\)",
        ),
        (SyntaxError("invalid syntax"), r"broken:Broken cannot be loaded \(SyntaxError: invalid syntax\)"),
        (int, r"broken:Broken is no subclass of benchmark\.pruning\.pruner\.Pruner with a name"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(installed: list[Any], given: object, message: str) -> None:
    installed.append(Broken(given))
    for listed in (registry.pruners, looks.looks.__wrapped__, listings.methods):
        with pytest.raises(BenchError, match=f"^entry point 'broken' of dapbench.pruners: {message}"):
            listed()
