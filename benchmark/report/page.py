"""The page: every suite's figures, headline tables, protocol and provenance in one HTML file."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.analysis import read_summary
from benchmark.config.params import Params
from benchmark.errors import BenchError
from benchmark.files import atomic_write
from benchmark.report import comparisons, contributed, controls, doubled_training, duplicates, render, tuning, verdict
from benchmark.report.accuracy_table import LEGEND, AccuracyTable, headline_tables
from benchmark.report.captions import CLAIMS, Caption, captions
from benchmark.report.explore import scripts
from benchmark.report.explore.data import explored
from benchmark.report.explore.data import text as as_json
from benchmark.report.labels import NBSP, label, percent, plural
from benchmark.report.missing_rows import absent
from benchmark.report.protocol import protocol, task
from benchmark.report.provenance import provenance
from benchmark.report.suites import in_order
from benchmark.report.table import Table
from benchmark.report.tables import files_of
from benchmark.report.view import View

TEMPLATES = Path(__file__).parent / "templates"
PIXELS = 800 / (7.2 * 72)  # per point: the widest figures fill the column, and single panels have letters of their size


@dataclass(frozen=True)
class SuitePart:
    """Everything the template shows of one suite."""

    suite: str
    title: str
    lead: str
    figures: list[Caption]
    sizes: dict[str, tuple[int, int]]
    tables: list[tuple[str, AccuracyTable]]
    target_tables: list[tuple[str, AccuracyTable]]
    contributed: list[tuple[str, AccuracyTable]]
    contributed_note: str
    comparisons: Table
    comparison_legend: str
    gaps: Table
    gap_legend: str
    verdict: list[verdict.Section]
    audit: Table
    audit_sentence: str
    broken: bool
    task: str
    duplicates: list[str]
    duplicates_legend: str
    protocol: list[str]
    rates: Table
    absent: list[str]
    provenance: Table
    files: list[str]
    same_task: "SuitePart | None" = None  # the part above it that says the same of large model and data


def write_page(params: Params, root: Path) -> Path:
    """Write reports/index.html from the summaries of all suites in `run.suites`; returns its path.

    The headline suite comes first. What is explored is in the file, data and scripts; figures and tables below it are
    linked relatively, and those that were not made are left out.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = root / "reports"
    parts = _parts(params, root)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("index.html.j2").render(
        parts=parts,
        claims=CLAIMS,
        legend=LEGEND,
        rates_legend=tuning.CHOSEN,
        reference=label("dap"),
        table=lambda *options: Markup(render.html(*options)),
        licences=scripts.licences(),
        data=Markup(as_json(explored(params, root))),
        specs=Markup(as_json(scripts.specifications())),
        libraries=[Markup(library) for library in scripts.libraries()],
        script=Markup(scripts.own()),
    )
    shown, mark, code = text.strip().partition("<script")
    atomic_write(folder / "index.html", f"{shown.replace(' %', f'{NBSP}%')}{mark}{code}\n".encode())
    return folder / "index.html"


def _parts(params: Params, root: Path) -> list[SuitePart]:
    """Return the parts in their order; what one says of large model and data, the next do not say again."""
    parts: list[SuitePart] = []
    for suite in in_order(params):
        part = _part(params, suite, read_summary(root, suite), root / "reports")
        same = (above for above in parts if (above.task, above.duplicates) == (part.task, part.duplicates))
        parts.append(replace(part, same_task=next(same, None)))
    return parts


def _part(params: Params, suite: str, summary: dict[str, Any], folder: Path) -> SuitePart:
    view = View(summary)
    tables = f"tables/{suite}"
    sizes = {path.stem: _size(path) for path in sorted((folder / "figures" / suite).glob("*.svg"))}
    return SuitePart(
        suite=suite,
        title=summary["title"],
        lead=_lead(view),
        figures=[caption for caption in captions(view) if caption.name in sizes],
        sizes=sizes,
        tables=headline_tables(view, [view.headline_target], with_variants=True),
        target_tables=headline_tables(view, view.targets, with_variants=False) if view.several else [],
        contributed=contributed.tables(view),
        contributed_note=contributed.note(view),
        comparisons=comparisons.rivals(view),
        comparison_legend=comparisons.legend(view),
        gaps=comparisons.gaps(view),
        gap_legend=comparisons.gap_legend(view),
        verdict=verdict.sections(view),
        audit=verdict.audit(view),
        audit_sentence=verdict.audit_sentence(view),
        broken=bool(verdict.broken_rules(view)),
        task=task(params.suites[suite]),
        duplicates=duplicates.duplicates(view),
        duplicates_legend=duplicates.legend(view),
        protocol=[
            *protocol(params, suite),
            *filter(None, [doubled_training.sentence(view), *controls.questions(view)]),
        ],
        rates=tuning.chosen(view),
        absent=absent(view),
        provenance=provenance(summary),
        files=[f"{tables}/{name}" for name in files_of(view) if (folder / tables / name).exists()],
    )


def _size(path: Path) -> tuple[int, int]:
    """Return how many pixels wide and high the page shows an SVG, from the size in points that it begins with."""
    with path.open() as file:
        found = re.search(r'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"', file.read(1000))
    if found is None:
        raise BenchError(
            f"{path}: no SVG of a size in points; draw it again with: dapbench report --suite {path.parent.name}"
        )
    return round(PIXELS * float(found[1])), round(PIXELS * float(found[2]))


def _lead(view: View) -> str:
    return (
        f"{plural(len(view.methods), 'pruner')} at {plural(len(view.budgets), 'budget')} from "
        f"{percent(max(view.budgets))} down to {percent(min(view.budgets))}, "
        f"{plural(len(view.seeds), 'search seed')}. Headline: weights mode {view.headline_weights}, "
        f"{plural(view.headline_shots, 'shot')} per class" + (f"; {view.measured}." if view.several else ".")
    )
