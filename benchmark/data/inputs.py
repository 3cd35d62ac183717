"""What of a user's own files is read and what is skipped, in words."""

import sys
from collections.abc import Mapping
from typing import Any

from benchmark.data.base import Inputs


def describe(inputs: Mapping[str, Any]) -> list[str]:
    """Return the lines of a manifest's `inputs`: what was read, what was chosen, and a line per reason and suffix."""
    taken = ", ".join(f"{number} {suffix}" for suffix, number in inputs["taken"].items()) or "nothing"
    lines = [f"read {taken}"]
    if inputs["chosen"]:
        lines.append(inputs["chosen"])
    for skipped in inputs["skipped"]:
        what = skipped["suffix"] or "without a suffix"
        lines.append(f"skipped {skipped['count']} {what}: {skipped['reason']} (first: {skipped['first']})")
    return lines


def say_skipped(name: str, inputs: Inputs) -> None:
    """Write a line to stderr for each kind of files that were skipped, so that none is missing without a word."""
    for skipped in inputs.skipped:
        what = skipped.suffix or "without a suffix"
        print(
            f"note: {name}: skipped {skipped.count} {what}: {skipped.reason} (first: {skipped.first})", file=sys.stderr
        )
