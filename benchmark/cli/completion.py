"""Names that a shell completes, found without importing what computes; nothing where params.yaml cannot be read."""

from pathlib import Path

from benchmark.errors import BenchError


def suites(begun: str) -> list[str]:
    """Return the suites of this folder's params.yaml whose name begins so."""
    from benchmark.config.yaml_file import read_yaml

    try:
        described = read_yaml(Path("params.yaml"))
    except BenchError:
        return []
    found = described.get("suites") if isinstance(described, dict) else None
    return [str(name) for name in found if str(name).startswith(begun)] if isinstance(found, dict) else []


def methods(begun: str) -> list[str]:
    """Return the registered pruners whose name begins so."""
    from benchmark.pruning.looks import looks

    return [name for name in looks() if name.startswith(begun)]
