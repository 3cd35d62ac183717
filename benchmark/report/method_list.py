"""The block of README.md that lists the methods: what each searches, what it needs, and what its search costs."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmark.analysis import read_summary
from benchmark.config.params import Params, load_params
from benchmark.protocol.controls import DENSE
from benchmark.pruning.looks import looks
from benchmark.report import render
from benchmark.report.blocks import holds, marks, put
from benchmark.report.labels import COSTS, label
from benchmark.report.suites import in_order
from benchmark.report.table import Column, Table, words

BLOCK = "methods"
BEGIN, END = marks(BLOCK)


def render_block(summary: dict[str, Any], methods: Sequence[str]) -> str:
    """Return the Markdown between the markers: a row per method, its cost from the summary of the headline suite."""
    rows = [
        [label(name), look.reference, *look.searches.values(), look.uses_pretrained, _cost(summary, name)]
        for name in methods
        if name != DENSE and (look := looks().get(name))
    ]
    columns = [
        *(words("method"), words("source")),
        *(Column(word, "l", lambda has: "yes" if has else None) for word in ("width", "depth", "weights")),
        Column("pretrained", "l", lambda needs: "needed" if needs else None),
        Column("cost", format="{:.1f}".format),
    ]
    note = (
        "*Width, depth, weights*: what its architectures may leave out. *Pretrained*: by default it asks for the "
        "trained large model. *Cost*: its search for all budgets, that pretraining included, in pretrainings; the mean "
        f"over seeds of the suite {summary['suite']}, at budgets of the {COSTS[summary['axes']['cost']]}. "
        "A dash: no, or no rows there."
    )
    return f"{render.markdown(Table(columns, rows))}\n\n{note}"


def _cost(summary: dict[str, Any], name: str) -> float | None:
    """The default variant's search, in pretrainings: what was trained before it and what it computed itself."""
    cells, weights = summary["cells"], summary["headline"]["weights"]
    pretraining = next((cell["train_flops"] for cell in cells if cell["method"] == DENSE), None)
    spent = [
        cell["search_flops"] + cell["pretrain_flops"]
        for cell in cells
        if (cell["method"], cell["variant"], cell["weights"]) == (name, "", weights)
    ]
    return mean(spent) / pretraining if spent and pretraining else None


def update(path: Path, params: Params | None = None) -> bool:
    """Replace the block of the README at `path`; returns whether it changed.

    params.yaml and reports/ are looked for beside the README. Raises `BenchError` when the markers are missing.
    """
    return put(path, BLOCK, lambda: _block(path, params))


def check(path: Path, params: Params | None = None) -> bool:
    """Return whether the block of the README at `path` is what `update` would write."""
    return holds(path, BLOCK, lambda: _block(path, params))


def _block(path: Path, params: Params | None) -> str:
    params = params or load_params(path.parent / "params.yaml")
    return render_block(read_summary(path.parent, in_order(params)[0]), params.run.methods)
