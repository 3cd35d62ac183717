"""The learning rates that were tried and chosen for every budget."""

from dataclasses import replace

from benchmark.report import render
from benchmark.report.labels import NBSP, percent, percents
from benchmark.report.table import Cell, Column, Table, words
from benchmark.report.view import Record, View

KINDS = {
    "training": "training on the source",
    "finetune": "fine-tuning on few examples",
    "scratch": "training from scratch on few examples",
}
LEGEND = (
    "Accuracy in percent at every learning rate that was tried, mean over random architectures of the budget that no "
    "method proposed (at 100 % the large model itself), on the source's validation images. Bold: chosen, for "
    "all methods alike."
)
CHOSEN = "Learning rates, chosen for every budget on the source's validation images and the same for all methods."


def markdown(view: View) -> str:
    """Return a Markdown table per kind of training, with headings: budgets x tried rates."""
    parts = []
    for kind in _kinds(view):
        records = [record for record in view.summary["tuning"] if record["kind"] == kind]
        rates = _rates(records)
        rows = []
        for record in records:
            tried = {entry["lr"]: Cell(percents(entry["accuracy"])) for entry in record["tried"]}
            tried[record["lr"]] = replace(tried[record["lr"]], mark="best")
            rows.append([_budget(record), *map(tried.get, rates)])
        columns = [words("budget"), *(Column(f"{rate:g}", format=lambda cell: cell) for rate in rates)]
        parts += [f"## {KINDS[kind].capitalize()}", render.markdown(Table(columns, rows))]
    return "\n\n".join(parts)


def records(view: View) -> list[Record]:
    """Return a flat record per granularity, budget and kind: the chosen rate, and the accuracy at every tried one."""
    names = {rate: f"accuracy at {rate:g}" for rate in _rates(view.summary["tuning"])}
    return [
        {name: entry[name] for name in ("granularity", "budget", "kind", "lr")}
        | dict.fromkeys(names.values())
        | {names[tried["lr"]]: tried["accuracy"] for tried in entry["tried"]}
        for entry in view.summary["tuning"]
    ]


def chosen(view: View) -> Table:
    """Return the chosen rate of each kind of training, a row per budget."""
    kinds = _kinds(view)
    rates: dict[str, dict[str, float]] = {}
    for record in view.summary["tuning"]:
        rates.setdefault(_budget(record), {})[record["kind"]] = record["lr"]
    columns = [words("budget"), *(Column(KINDS[kind], format="{:g}".format) for kind in kinds)]
    return Table(columns, [[budget, *map(by.get, kinds)] for budget, by in rates.items()])


def _kinds(view: View) -> list[str]:
    return list(dict.fromkeys(record["kind"] for record in view.summary["tuning"]))


def _rates(records: list[Record]) -> list[float]:
    return sorted({entry["lr"] for record in records for entry in record["tried"]})


def _budget(record: Record) -> str:
    if record["budget"] == 1:
        return f"large model (100{NBSP}%)"
    return f"{record['granularity']}, {percent(record['budget'])}"
