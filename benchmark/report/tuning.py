"""The learning rates that were tried and chosen for every budget."""

from benchmark.report.labels import NBSP, percent
from benchmark.report.markdown import table
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
            tried = {entry["lr"]: f"{100 * entry['accuracy']:.1f}" for entry in record["tried"]}
            tried[record["lr"]] = f"**{tried[record['lr']]}**"
            rows.append([_budget(record), *(tried.get(rate, "–") for rate in rates)])
        parts += [f"## {KINDS[kind].capitalize()}", table(["budget", *(f"{rate:g}" for rate in rates)], rows)]
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


def chosen(view: View) -> tuple[list[str], list[list[str]]]:
    """Return the kinds of training, and a row per budget: its name, then the chosen rate of each kind."""
    kinds = _kinds(view)
    rows: dict[str, dict[str, str]] = {}
    for record in view.summary["tuning"]:
        rows.setdefault(_budget(record), {})[record["kind"]] = f"{record['lr']:g}"
    return [KINDS[kind] for kind in kinds], [
        [name, *(by.get(kind, "–") for kind in kinds)] for name, by in rows.items()
    ]


def _kinds(view: View) -> list[str]:
    return list(dict.fromkeys(record["kind"] for record in view.summary["tuning"]))


def _rates(records: list[Record]) -> list[float]:
    return sorted({entry["lr"] for record in records for entry in record["tried"]})


def _budget(record: Record) -> str:
    if record["budget"] == 1:
        return f"large model (100{NBSP}%)"
    return f"{record['granularity']}, {percent(record['budget'])}"
