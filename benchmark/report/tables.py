"""The tables of a suite: Markdown to read, LaTeX to print, CSV to compute with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from benchmark.config.params import WeightsMode
from benchmark.files import atomic_write
from benchmark.protocol.controls import DENSE
from benchmark.report import (
    comparisons,
    contributed,
    controls,
    doubled_training,
    render,
    settings,
    studies,
    top_five,
    tuning,
    verdict,
)
from benchmark.report.accuracy_table import (
    AREA,
    DENSE_LEVEL,
    LEGEND,
    MEANS,
    accuracy_table,
    headline_tables,
)
from benchmark.report.labels import COSTS, label, percents, plural
from benchmark.report.latex import main_tex
from benchmark.report.missing_rows import absent
from benchmark.report.table import Column, Table, of_records, words
from benchmark.report.view import Record, View

# In the order in which a reader is told of them; a text that has nothing to show is empty, and not written.
FILES = {
    "main.md": "the headline's weights mode and shots",
    "full.md": "the same tables for every number of shots and weights mode",
    "areas.md": "areas over all budgets, for every number of shots and weights mode",
    "verdict.md": "audit, primary endpoints, the best search-free rule, equal cost, ranks, where the noise comes from",
    "top5.md": "Top-5 accuracies, where the suite asks for them",
    "main.csv": "all shots at the headline's weights mode, in percent",
    "main.tex": "the same for LaTeX",
    **{
        f"accuracy-{mode}.csv": f"every cell with weights {mode}, shares instead of percent, with compute and size"
        for mode in get_args(WeightsMode)
    },
    "tests.csv": "every paired test",
    "primary.csv": "the primary endpoints, shares instead of percent",
    "rules.csv": "the method under study minus every search-free rule, shares instead of percent",
    "equal_cost.csv": "areas at equal MACs (or parameters), shares instead of percent",
    "ranks.csv": "ranks with their intervals",
    "pairing.csv": "correlations between methods over seeds",
    "variances.csv": "parts of the variance between seeds",
    "areas.csv": "areas over all budgets and over the small ones, shares instead of percent",
    "gaps.csv": "area with inherited minus area with fresh weights",
    "twice.md": "the dense control beside one trained on the source for twice as many steps",
    "twice.csv": "the same, shares instead of percent",
    "arms.md": "the arms beside the grid: shuffled, inverted, labels, flops, with a verdict for each method",
    "arms.csv": "the same, shares instead of percent",
    "tuning.md": "the learning rates that were tried and chosen",
    "tuning.csv": "the same, shares instead of percent",
    "settings.md": "all settings of the studies beside their method's default",
    "settings.csv": "the same, shares instead of percent",
    "architectures.csv": "units kept per layer, mean and range over seeds",
}


VERDICT = ("primary", "rules", "equal_cost", "ranks", "pairing", "variances")


def files_of(view: View) -> dict[str, str]:
    """Return every file that a suite's tables can have, with what it holds, in the order in which a reader is told."""
    own = {}
    for name in studies.names(view):
        own[f"study-{name}.md"] = f"the study {name}: what each variant changes, and what its searches were like"
        own[f"study-{name}.csv"] = "the same, shares instead of percent"
    return FILES | own


def write_tables(view: View, kept: list[dict[str, Any]], folder: Path) -> None:
    """Write every table of a suite into `folder`; `kept` from `benchmark.report.layers.layers`.

    A table that has nothing to show is not written, and an old one of that name is removed.
    """
    texts = {
        "full.md": _full_md(view),
        "areas.md": _areas_md(view),
        "top5.md": _titled(view, "Top-5 accuracy", top_five.LEGEND, top_five.markdown(view)),
        "main.tex": main_tex(view),
        "main.csv": _main_csv(view),
        "tests.csv": _csv(view.summary["tests"]),
        "verdict.md": _titled(view, "verdict", verdict.legend(view), verdict.markdown(view)),
        **{f"{name}.csv": _csv(view.summary[name]) for name in VERDICT},
        "areas.csv": _csv(_areas_of_sets(view)),
        "gaps.csv": _csv(view.summary["gaps"]),
        "twice.md": _titled(
            view, "the dense control trained twice as long", doubled_training.LEGEND, doubled_training.markdown(view)
        ),
        "twice.csv": _csv(view.summary["twice"]),
        "arms.md": _titled(view, "arms beside the grid", controls.legend(view), controls.markdown(view)),
        "arms.csv": _csv(controls.records(view)),
        "tuning.md": _titled(view, "learning rates", tuning.LEGEND, tuning.markdown(view)),
        "tuning.csv": _csv(tuning.records(view)),
        "settings.md": _titled(view, "settings", settings.legend(view), settings.markdown(view)),
        "settings.csv": _csv(settings.records(view)),
        "architectures.csv": _csv(kept),
    }
    for weights in view.weights:
        texts[f"accuracy-{weights}.csv"] = _csv([c for c in view.summary["cells"] if c["weights"] == weights])
    for name in studies.names(view):
        title = f"the study {name}"
        texts[f"study-{name}.md"] = _titled(view, title, studies.legend(view, name), studies.markdown(view, name))
        texts[f"study-{name}.csv"] = _csv(studies.records(view, name))
    files = files_of(view)
    texts["main.md"] = _main_md(view, {name: text for name, text in files.items() if texts.get(name)})
    for name in [*files, *(old.name for old in folder.glob("study-*") if old.name not in files)]:
        if texts.get(name):
            atomic_write(folder / name, texts[name].encode())
        else:
            (folder / name).unlink(missing_ok=True)


def _csv(records: Sequence[Record]) -> str:
    return render.csv(of_records(records))


def _titled(view: View, title: str, legend: str, text: str) -> str:
    return f"# {view.summary['title']}: {title}\n\n{legend}\n\n{text}\n" if text else ""


def _main_md(view: View, files: Mapping[str, str]) -> str:
    parts = [f"# {view.summary['title']}: accuracy on the target{'s' if view.several else ''}", _setting(view), LEGEND]
    for title, made in headline_tables(view, view.shown_targets, with_variants=True):
        parts += [f"## {title}", render.markdown(made.table)]
    others = contributed.text(view)
    parts += ["## Contributed", others] if others else []
    rivals, heading = comparisons.rivals(view), f"## {label('dap')} against its rivals"
    parts += [heading, render.markdown(rivals), comparisons.legend(view)] if rivals.rows else []
    missing = absent(view)
    parts += ["## Not in these tables", "\n".join(f"- {line}" for line in missing)] if missing else []
    longer = doubled_training.sentence(view)
    parts += ["## Twice the training on the source", longer] if longer else []
    return "\n\n".join([*parts, "## Files", "\n".join(f"- `{name}`: {text}" for name, text in files.items())]) + "\n"


def _setting(view: View) -> str:
    return (
        f"Weights mode `{view.headline_weights}`, {plural(view.headline_shots, 'shot')} per class, "
        f"{plural(len(view.seeds), 'search seed')}. Columns: the share of {COSTS[view.cost]} that a method may keep."
        + (f" Headline: {view.measured}." if view.several else "")
        + (f" {view.too_few}" if view.too_few else "")
    )


def _full_md(view: View) -> str:
    parts = [f"# {view.summary['title']}: all accuracies", LEGEND]
    for weights in view.weights:
        for target, granularity, title in view.parts():
            for shots in view.shots_of(target):
                found = accuracy_table(view, target, granularity, weights, shots, view.entries(granularity))
                if found.rows:
                    heading = f"## weights {weights}, {title} pruning, {plural(shots, 'shot')} per class"
                    parts += [heading, render.markdown(found.table)]
    return "\n\n".join(parts) + "\n"


def _areas_md(view: View) -> str:
    parts = [f"# {view.summary['title']}: areas", f"Columns: weights mode and shots per class. {MEANS} {AREA}"]
    for target, granularity, title in view.parts():
        columns = [(weights, shots) for weights in view.weights for shots in view.shots_of(target)]
        rows = [
            [label(*entry), *(view.area(granularity, *entry, weights, target, shots) for weights, shots in columns)]
            for entry in view.entries(granularity)
        ]
        areas = [Column(f"{weights} {shots}", format=_area) for weights, shots in columns]
        parts += [f"## {title} pruning", render.markdown(Table([words("method"), *areas], rows))]
    return "\n\n".join(parts) + "\n"


def _area(area: Record) -> str:
    return percents(area["accuracy"], area["half"])


def _areas_of_sets(view: View) -> list[Record]:
    found = {"all": view.summary["areas"], "small": view.summary["small_areas"]}
    return [{"budgets": name, **record} for name, records in found.items() for record in records]


def _main_csv(view: View) -> str:
    names = [*(f"{100 * budget:.3g}%" for budget in (1.0, *view.budgets)), "area"]
    rows: list[list[Any]] = []
    for target, granularity, _ in view.parts():
        for shots in view.shots_of(target):
            found = accuracy_table(view, target, granularity, view.headline_weights, shots, view.entries(granularity))
            dense = found.levels.get(DENSE_LEVEL)
            lines = [(DENSE, "", [dense, *[None] * (len(names) - 1)])] if dense else []
            lines += [(row.method, row.variant, [None, *row.entries]) for row in found.rows]
            place = [target, granularity, found.weights, shots]
            for method, variant, entries in lines:
                numbers = (number for e in entries for number in ((e.mean, e.half) if e else (None, None)))
                rows.append([*place, method, variant, *numbers])
    fields = ["target", "granularity", "weights", "shots", "method", "variant"]
    columns = [Column(f"{n}{of}", format=lambda share: f"{100 * share:.2f}") for n in names for of in ("", " half")]
    return render.csv(Table([*map(words, fields), *columns], rows))
