"""The table of all settings of a suite's studies: what was tried for whom, and what was ahead."""

from benchmark.report import render
from benchmark.report.labels import label, percents, plural, variant_label
from benchmark.report.studies import changes
from benchmark.report.table import Cell, Column, Table, differences, words
from benchmark.report.view import Record, View


def records(view: View) -> list[Record]:
    """Return what every setting of every study changes."""
    found: list[Record] = view.summary.get("study_settings", [])
    return found


def legend(view: View) -> str:
    """Say what the table is about."""
    return (
        "What else than its default was tried for each method. Difference: the setting's area (accuracy over log "
        f"complexity, all budgets of the suite) minus the default's, {view.setting}, mean over granularities, in "
        f"points, paired by search seed, ± half width of the 95 % interval over {plural(len(view.seeds), 'seed')}. A "
        "setting that does not run at a granularity, because it changes nothing there, counts as the default. *Ahead* "
        "is the best setting of a study if its difference exceeds its standard error; if there is none, the default is."
    )


def markdown(view: View) -> str:
    """Return the table as Markdown; empty without studies."""
    columns = [
        words("setting", variant_label),
        words("changes"),
        differences("minus default (points)"),
        Column("standard error", format=percents),
        words("", lambda ahead: Cell("ahead", "best") if ahead else ""),
    ]
    parts = []
    for study in view.studies:
        shown = [record for record in records(view) if record["study"] == study["study"]]
        if not shown:
            continue
        rows = [[r["variant"], changes(study["variants"][r["variant"]]), r, r["error"], r["ahead"]] for r in shown]
        if not any(record["ahead"] for record in shown):
            rows.append(["", "", None, None, True])
        count = plural(len(shown) + 1, "setting")
        parts += [
            f"## {label(study['method'])}: {study['study']}, {count} with the default",
            render.markdown(Table(columns, rows)),
        ]
    return "\n\n".join(parts)
