"""The results block of README.md: the main figure and the headline table, made from a summary."""

from pathlib import Path
from typing import Any

from benchmark.config import Params, load_params
from benchmark.errors import BenchError
from benchmark.files import atomic_write
from benchmark.report.accuracy_table import LEGEND, headline_tables, markdown
from benchmark.report.labels import COSTS, plural
from benchmark.report.view import View
from benchmark.stats import read_summary

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"


def render_block(summary: dict[str, Any], suite: str) -> str:
    """Return the Markdown between the markers: figure, a table of default variants per granularity, links."""
    view = View(summary)
    setting = f"weights mode `{view.headline_weights}`, {plural(view.headline_shots, 'shot')} per class"
    parts = [
        f"![{summary['title']}: transfer accuracy against complexity](reports/figures/{suite}/accuracy.png)",
        f"**{summary['title']}**: accuracy on the target, {setting}, {plural(len(view.seeds), 'search seed')}; "
        f"columns are the share of {COSTS[view.cost]} that a method may keep.",
    ]
    for table, (_, _, title) in zip(headline_tables(view, with_variants=False), view.parts(), strict=True):
        parts += [f"*{title} pruning*", markdown(table)]
    return "\n\n".join(
        [*parts, f"{LEGEND} Variants and all shots: [reports/tables/{suite}](reports/tables/{suite}/main.md)."]
    )


def update(path: Path, params: Params | None = None) -> bool:
    """Replace the block of the README at `path`; returns whether it changed.

    The suite is the first of `run.suites`; params.yaml and reports/ are looked for beside the README.
    Raises `BenchError` when the markers are missing.
    """
    text = _read(path)
    fresh = _replaced(path, text, params)
    if fresh != text:
        atomic_write(path, fresh.encode())
    return fresh != text


def check(path: Path, params: Params | None = None) -> bool:
    """Return whether the block of the README at `path` is what `update` would write."""
    text = _read(path)
    return _replaced(path, text, params) == text


def _replaced(path: Path, text: str, params: Params | None) -> str:
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise BenchError(f"{path}: no results block; add the lines {BEGIN} and {END} where it belongs")
    suite = (params or load_params(path.parent / "params.yaml")).run.suites[0]
    block = render_block(read_summary(path.parent, suite), suite)
    return f"{text[: begin + len(BEGIN)]}\n{block}\n{text[end:]}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror}); run in the repository's folder") from error
