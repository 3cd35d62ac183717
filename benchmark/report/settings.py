"""The table of all settings of a suite's studies: what was tried for whom, and what was ahead."""

from benchmark.report.labels import label, plural, points, variant_label
from benchmark.report.markdown import table
from benchmark.report.studies import changes
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
    parts, heads = [], ["setting", "changes", "minus default (points)", "standard error", ""]
    for study in view.studies:
        shown = [record for record in records(view) if record["study"] == study["study"]]
        if not shown:
            continue
        rows = []
        for record in shown:
            changed = changes(study["variants"][record["variant"]])
            error = "–" if record["error"] is None else f"{100 * record['error']:.1f}"
            change = points(record["difference"], record["half"])
            ahead = "**ahead**" if record["ahead"] else ""
            rows.append([variant_label(record["variant"]), changed, change, error, ahead])
        if not any(record["ahead"] for record in shown):
            rows.append(["default", "", "0", "", "**ahead**"])
        count = plural(len(shown) + 1, "setting")
        parts += [
            f"## {label(study['method'])}: {study['study']}, {count} with the default",
            table(heads, rows, align="llrrl"),
        ]
    return "\n\n".join(parts)
