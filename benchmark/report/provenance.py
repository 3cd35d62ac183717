"""Where results come from, as a table: machine, device, versions, data."""

from typing import Any

from benchmark.report.labels import label
from benchmark.report.table import Table, words


def provenance(summary: dict[str, Any]) -> Table:
    """Return the keys and values of the result files' provenance, as a table without headings.

    A value on which all methods agree stands once; otherwise each value names its methods.
    """
    values: dict[str, dict[str, list[str]]] = {}
    for method, content in summary["provenance"].items():
        for key, value in _flat(content, ""):
            values.setdefault(key, {}).setdefault(value, []).append(label(method))
    count = len(summary["provenance"])
    rows = []
    for key, found in values.items():
        shared = len(found) == 1 and len(next(iter(found.values()))) == count
        rows += [(key, value if shared else f"{value} ({', '.join(methods)})") for value, methods in found.items()]
    return Table([words(""), words("")], rows)


def _flat(value: Any, key: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for name, item in value.items() for pair in _flat(item, f"{key} {name}".strip())]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    # A digest is recognised by its beginning; the whole of it stands in the result file.
    return [(key, f"{text[:12]}…" if len(text) == 64 and set(text) <= set("0123456789abcdef") else text)]
