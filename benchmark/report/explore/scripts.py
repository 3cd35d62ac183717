"""The scripts of the page: the libraries it draws with, checked against their hashes, and its own."""

import json
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.files import sha256

ASSETS = Path(__file__).parents[1] / "assets"
OWN = Path(__file__).parent / "js"
SPECS = Path(__file__).parent / "specs"


def libraries(folder: Path = ASSETS) -> list[str]:
    """Return the libraries of vendor.json in the order in which they are loaded.

    `BenchError` when one is absent, or is not the file whose SHA-256 stands in vendor.json.
    """
    return [_checked(folder, entry) for entry in json.loads((folder / "vendor.json").read_text())]


def licences(folder: Path = ASSETS) -> str:
    """Return the licences of what `libraries` returns."""
    return (folder / "LICENSES.txt").read_text()


def own() -> str:
    """Return the page's own scripts as one module; main.js, which starts the page, is the last."""
    files = sorted(OWN.glob("*.js"), key=lambda path: (path.name == "main.js", path.name))
    return "\n".join(path.read_text() for path in files)


def specifications() -> dict[str, Any]:
    """Return the Vega-Lite specification of every figure by name; their data are put in by the scripts."""
    return {path.name.partition(".")[0]: json.loads(path.read_text()) for path in sorted(SPECS.glob("*.vl.json"))}


def _checked(folder: Path, entry: dict[str, str]) -> str:
    path = folder / entry["file"]
    found = path.read_bytes() if path.exists() else b""
    if sha256(found) != entry["sha256"]:
        raise BenchError(
            f"{path}: expected {entry['member']} of the npm package {entry['package']} {entry['version']} with the "
            f"SHA-256 {entry['sha256']}; restore it from git"
        )
    return found.decode().rpartition("//# sourceMappingURL=")[0] or found.decode()
