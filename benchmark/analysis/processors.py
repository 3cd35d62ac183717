"""Results of different kinds of processor are never compared: rounding alone moves an accuracy by several points."""

from collections.abc import Mapping
from typing import Any

from benchmark.errors import BenchError


def kind(provenance: Mapping[str, Any]) -> str:
    """Return the kind of processor that the provenance of a result file names: the GPU's name, else the CPU's.

    A CPU's name goes with its family and model number where they are known: one name may be of several kinds.
    """
    device, machine = str(provenance.get("device", "cpu")), provenance.get("machine", {})
    if device != "cpu":
        return device
    return ", ".join(str(part) for part in (machine.get("cpu", "unknown CPU"), machine.get("cpu_model")) if part)


def kinds(provenance: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the methods of every kind of processor, from the provenance by method.

    A file of before model numbers were written counts as of the one kind of its CPU's name that others have named.
    """
    named = {method: kind(content) for method, content in provenance.items()}
    found: dict[str, list[str]] = {}
    for method, name in named.items():
        closer = {other for other in named.values() if other.startswith(f"{name}, ")}
        found.setdefault(closer.pop() if len(closer) == 1 else name, []).append(method)
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
