"""The code blocks of README and docs, and what they print."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[tuple[str, str]]:
    """The code blocks of a page in one language, each with the output that the page shows below it."""
    found = BLOCK.findall((ROOT / page).read_text())
    return [(code, output) for kind, code, output in found if kind == language]


def files(page: str) -> dict[str, str]:
    """The Python files that a page shows in full, by the name in their first line."""
    shown = {}
    for code, _ in blocks(page, "python"):
        if first := re.match(r"# file: (\S+)\n", code):
            shown[first[1]] = code
    return shown


def run(page: str) -> dict[str, Any]:
    """Run a page's examples one after another; what they print must be what the page says. Returns their names."""
    names: dict[str, Any] = {}
    for code, expected in blocks(page, "python"):
        if not code.startswith("# file: "):
            told = io.StringIO()
            with contextlib.redirect_stdout(told):
                exec(code, names)
            if expected:
                assert told.getvalue() == expected, f"{page} shows another output; correct the page"
    return names
