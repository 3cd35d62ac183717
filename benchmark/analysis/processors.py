"""Results of different kinds of processor are never compared: rounding alone moves an accuracy by several points."""

from collections.abc import Mapping
from typing import Any

from benchmark.errors import BenchError


def kind(provenance: Mapping[str, Any]) -> str:
    """Return the kind of processor that the provenance of a result file names: the GPU's name, else the CPU's."""
    device = str(provenance.get("device", "cpu"))
    return device if device != "cpu" else str(provenance.get("machine", {}).get("cpu", "unknown CPU"))


def kinds(provenance: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the methods of every kind of processor, from the provenance by method."""
    found: dict[str, list[str]] = {}
    for method, content in provenance.items():
        found.setdefault(kind(content), []).append(method)
    return found


def one_kind(provenance: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Refuse results of several kinds of processor with a `BenchError` that names the methods of each."""
    found = kinds(provenance)
    if len(found) > 1:
        named = "; ".join(f"{', '.join(methods)} on {name}" for name, methods in found.items())
        raise BenchError(
            f"{where}: results of {len(found)} kinds of processor cannot be paired ({named}); compute all methods of a "
            "suite on one kind"
        )
