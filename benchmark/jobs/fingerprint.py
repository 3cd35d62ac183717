"""A hash of the code that decides a result, blind to comments, docstrings and formatting."""

import ast
import importlib
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.files import sha256

FIRST_PARTY = frozenset({"benchmark", "baselines"})
# They say how results are asked for, kept and shown, never what they are: values reach a computation through the job's
# spec (see benchmark.jobs.options for what an omitted option means), so an edit here must not cost a recomputation.
PLUMBING = frozenset(
    f"benchmark.{name}"
    for name in (
        *("config", "config.messages", "config.params", "config.yaml_file", "errors", "files"),
        *("jobs", "jobs.damage", "jobs.fingerprint", "jobs.job", "jobs.options", "jobs.results", "jobs.specs"),
        *("jobs.store", "jobs.stored", "plugins", "pruning.looks"),
    )
)


def fingerprint(modules: Iterable[str]) -> str:
    """Return the SHA-256 of `modules` and of everything they import, directly or not, inside their own packages.

    Imports are read from the source, also those inside functions and the `__init__` of every package on the way;
    nothing is executed. Followed are `benchmark`, `baselines` and the top-level packages of `modules` themselves,
    without `PLUMBING`. What a registry finds at run time is not followed: a job names the pruner's and the large
    model's module instead, so that a new pruner changes nobody else's key.
    Cached per process: files that change under a running process are not looked at again.
    Raises `BenchError` when a module has no source file.
    """
    return _fingerprint(tuple(sorted(set(modules))))


@cache
def _fingerprint(modules: tuple[str, ...]) -> str:
    packages = FIRST_PARTY | {name.partition(".")[0] for name in modules}
    for name in modules:
        if _source(name) is None:
            raise BenchError(f"{name}: no Python source file for this module; code must be readable to be hashed")
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in PLUMBING or name.partition(".")[0] not in packages or _source(name) is None:
            continue
        found.add(name)
        waiting += _imports(name)
    return sha256("\n".join(f"{name} {_content_hash(name)}" for name in sorted(found)).encode())


@cache
def _spec(name: str) -> ModuleSpec | None:
    # find_spec of importlib would import, and so run, the parent packages.
    parent = name.rpartition(".")[0]
    if not parent:
        return PathFinder.find_spec(name)
    above = _spec(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, list(above.submodule_search_locations))


@cache
def _source(name: str) -> Path | None:
    spec = _spec(name)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _tree(name: str) -> ast.Module:
    path = _source(name)
    assert path is not None
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise BenchError(f"{path}: not valid Python ({error}); correct it") from error


@cache
def _imports(name: str) -> tuple[str, ...]:
    """The modules that the source of `name` may import, and their parent packages."""
    spec = _spec(name)
    package = name if spec is not None and spec.submodule_search_locations is not None else name.rpartition(".")[0]
    wanted: list[str] = [name]
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            wanted += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, *([base] if base else [])])
            wanted.append(base)
            wanted += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(sorted({part for module in wanted for part in _with_parents(module)} - {name}))


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


@cache
def _content_hash(name: str) -> str:
    tokens: list[str] = []
    _add_tokens(_tree(name), tokens)
    return sha256("".join(f"{token}\n" for token in tokens).encode())


def _add_tokens(value: Any, tokens: list[str]) -> None:
    """Append the syntax tree as text; empty fields are skipped, for Python versions add such fields."""
    if isinstance(value, ast.AST):
        tokens.append(f"({type(value).__name__}")
        for field in value._fields:
            child: Any = getattr(value, field, None)
            if field == "body" and _has_docstring(value):
                child = child[1:]
            if child is None or child == [] or field == "kind":
                continue
            tokens.append(field)
            _add_tokens(child, tokens)
        tokens.append(")")
    elif isinstance(value, list):
        tokens.append("[")
        for item in value:
            _add_tokens(item, tokens)
        tokens.append("]")
    else:
        tokens.append(repr(value))


def _has_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    )


def forget() -> None:
    """Drop what was cached, so that the next call reads the files again (for long-lived processes and tests)."""
    importlib.invalidate_caches()
    for cached in (_fingerprint, _spec, _source, _tree, _imports, _content_hash):
        cached.cache_clear()
