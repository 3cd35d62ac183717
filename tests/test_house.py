"""The rooms of docs/architecture.md: imports go down only, in no circle, lazily neither."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOOSE = ("errors", "files", "plugins", "seeds", "provenance")
# From the floor that everyone stands on to the doors.
FLOORS = (
    *("config", "data", "models", "space", "training", "pruning", "dap", "jobs", "protocol"),
    *("analysis", "report", "tracking", "pipeline", "networks", "studies"),
)
TOP = ("api", "cli")
LONGEST = 52  # lines of a function without its docstring
# Their code is in the keys of computed results: they are cut when those are computed anew.
LONGER = {"benchmark.protocol.search.compute": 62}


def modules() -> dict[str, Path]:
    found = {}
    for path in [*(ROOT / "benchmark").rglob("*.py"), *(ROOT / "baselines").glob("*.py")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """The modules of this project that a module imports, wherever in its source, also for type checkers only."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES or node.module in MODULES:
                    yield full if full in MODULES else node.module


GRAPH = {name: set(imports(name)) - {name} for name in MODULES}


def room(name: str) -> str:
    parts = name.split(".")
    return parts[0] if parts[0] == "baselines" else parts[1] if len(parts) > 1 else ""


def floor(name: str) -> float:
    here = room(name)
    if here in ("", *LOOSE):
        return 0
    if here == "baselines":
        return FLOORS.index("dap") + 1.5  # DARTS can be given parts of DAP, to tell what each of them does
    return len(FLOORS) + 1 if here in TOP else FLOORS.index(here) + 1


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down_only(name: str) -> None:
    above = {other for other in GRAPH[name] if room(other) != room(name) and floor(other) >= max(1, floor(name))}
    assert not above, f"{name} imports {', '.join(sorted(above))}"


def test_there_is_no_circle() -> None:
    """Take away what imports nothing that is left, until nothing can be taken: what stays is in or behind a circle."""
    left = {name: set(others) for name, others in GRAPH.items()}
    # A package's own file and its modules are one door and its room.
    for name in left:
        left[name] = {other for other in left[name] if not name.startswith(f"{other}.")}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_only_the_doors_of_the_pipeline_know_dvc_and_mlflow() -> None:
    for name, path in MODULES.items():
        if re.search(r"^\s*(import|from) (dvc|mlflow)\b", path.read_text(), re.MULTILINE):
            assert room(name) in ("cli", "pipeline", "tracking"), name


def test_studies_are_imported_by_the_command_line_only() -> None:
    for name, others in GRAPH.items():
        if any(room(other) == "studies" for other in others):
            assert room(name) in ("cli", "studies"), name


@pytest.mark.parametrize("start", ["benchmark.analysis", "benchmark.report", "benchmark.cli"])
def test_tables_figures_and_lists_do_not_wait_for_torch(start: str) -> None:
    """What is imported with these rooms' modules, not by a function when it is called."""
    found: set[str] = set()
    waiting = [name for name in MODULES if f"{name}.".startswith(f"{start}.")]
    while waiting:
        name = waiting.pop()
        found.add(name)
        body = ast.parse(MODULES[name].read_text()).body
        at_once = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
        for node in body:
            if isinstance(node, ast.ImportFrom) and node.module:
                at_once |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        assert not {other.partition(".")[0] for other in at_once} & {"torch", "torchvision", "timm", "mlflow"}, name
        parents = {".".join(other.split(".")[:end]) for other in at_once for end in range(1, other.count(".") + 2)}
        waiting += (at_once | parents) & MODULES.keys() - found


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring."""
    first = function.body[0]
    docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_no_function_is_long() -> None:
    found = {
        f"{name}.{node.name}": length(node)
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > LONGEST
    }
    assert found == LONGER


def test_every_room_is_on_the_page() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.name for path in (ROOT / "benchmark").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert all(f"`{name}/`" in page for name in rooms - {"cli"}) and "`cli/`" in page
    for name in re.findall(r"`(benchmark/[\w/]+\.py|baselines/\w+\.py)`", page):
        assert (ROOT / name).exists(), name


def test_tests_mirror_the_rooms() -> None:
    own = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert own - {"helpers", "baselines", "reliability"} <= {*FLOORS, "cli"}
