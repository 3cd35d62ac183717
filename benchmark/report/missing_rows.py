"""What a report does not contain, in words."""

from benchmark.report.labels import label
from benchmark.report.view import View


def absent(view: View) -> list[str]:
    """Return a line per weights mode and set of granularities whose rows are absent, and per method with holes."""
    whole: dict[tuple[str, str], list[str]] = {}
    lines = []
    for entry in view.summary["missing"]:
        name = label(entry["method"], entry["variant"])
        if entry["absent"] == entry["expected"]:
            whole.setdefault((entry["weights"], name), []).append(entry["granularity"])
        else:
            where = f"{name}, {entry['granularity']} pruning, weights {entry['weights']}"
            lines.append(f"{where}: {entry['absent']} of {entry['expected']} rows are absent.")
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (weights, name), granularities in whole.items():
        together.setdefault((weights, tuple(granularities)), []).append(name)
    found_lines = []
    for (weights, found), names in together.items():
        why = " (a method that returns no weights of its own has none to inherit)" if weights == "inherit" else ""
        found_lines.append(f"{', '.join(names)}: no rows with weights {weights}, {' and '.join(found)} pruning{why}.")
    return found_lines + lines
