"""What of a user's own files is read and what is skipped, in words."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmark.data.base import Inputs


def manifest_entry(inputs: Inputs) -> dict[str, Any]:
    """Return what a manifest holds under `inputs`: JSON values only."""
    return {"taken": inputs.taken, "chosen": inputs.chosen, "skipped": [asdict(item) for item in inputs.skipped]}


def describe(entry: Mapping[str, Any]) -> list[str]:
    """Return a manifest's `inputs` in words: what was read, what was chosen, then a line per suffix and reason."""
    taken = ", ".join(f"{number} {suffix}" for suffix, number in entry["taken"].items()) or "nothing"
    skipped = [
        f"skipped {item['count']} {item['suffix'] or 'without a suffix'}: {item['reason']} (first: {item['first']})"
        for item in entry["skipped"]
    ]
    return [f"read {taken}", *([entry["chosen"]] if entry["chosen"] else []), *skipped]


def say_skipped(name: str, inputs: Inputs) -> None:
    """Write a line to stderr for each kind of skipped files, so that none is missing without a word."""
    for line in describe(manifest_entry(inputs)):
        if line.startswith("skipped"):
            print(f"note: {name}: {line}", file=sys.stderr)
