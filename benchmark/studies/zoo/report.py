"""The zoo's result file and its table: reports/zoo.json, and reports/zoo.md made from it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.errors import BenchError
from benchmark.files import atomic_write, read_json, write_json
from benchmark.provenance import provenance
from benchmark.report import render
from benchmark.report.labels import NBSP, plural
from benchmark.report.table import Column, Table, words
from benchmark.studies.zoo.check import FLOAT32, FLOAT64, SHARE, Kind, Row, placeless

SCHEMA = 1
NAME = "zoo.json"
KINDS: dict[Kind, str] = {
    "float64": "outputs, double precision",
    "float32": "outputs, single precision",
    "gradient": "gradients of a training step",
    "statistics": "running statistics after it",
}
Document = dict[str, Any]


def versions() -> dict[str, str]:
    """Return the versions of the libraries whose networks are checked."""
    return {name: version(name) for name in ("torch", "torchvision", "timm")}


def document(rows: Sequence[Row]) -> Document:
    """Return the content of a result file."""
    return {"schema": SCHEMA, "rows": list(rows), "provenance": provenance(), "versions": versions()}


def updated(content: Document, rows: Sequence[Row]) -> Document:
    """Return a result file's content with `rows` in place of those of the same networks.

    The others are carried over; `carried` in the provenance says how many, and on which machines they were made.
    """
    new = {row["model"]: row for row in rows}
    unknown = [name for name in new if name not in {row["model"] for row in content["rows"]}]
    if unknown:
        raise BenchError(f"{', '.join(unknown)}: not in {NAME}, whose rows can be made anew; run `dapbench zoo`")
    merged = document([new.get(row["model"], row) for row in content["rows"]])
    count = len(merged["rows"]) - len(new)
    if count:
        before = content["provenance"]
        made = [*before.get("carried", {}).get("machines", []), _machine(before)]
        carried = {"rows": count, "machines": list(dict.fromkeys(made))}
        merged["provenance"] = {**merged["provenance"], "carried": carried}
    return merged


def write(folder: Path, content: Document) -> Document:
    """Write zoo.json and zoo.md into `folder`; returns the content of zoo.json."""
    write_json(folder / NAME, content)
    content = read(folder / NAME)
    atomic_write(folder / "zoo.md", markdown(content).encode())
    return content


def read(path: Path) -> Document:
    """Read a result file; `BenchError` when it is not one."""
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != {"schema", "rows", "provenance", "versions"}:
        raise BenchError(f"{path}: not a result file of the zoo; restore it from git or run `dapbench zoo`")
    if content["schema"] != SCHEMA:
        raise BenchError(
            f"{path}: schema {content['schema']!r}, this version reads {SCHEMA}; update dapbench or run `dapbench zoo`"
        )
    fields = set(Row.__annotations__)
    for index, row in enumerate(content["rows"]):
        if not isinstance(row, dict) or set(row) != fields:
            raise BenchError(f"{path}: row {index} has other fields than a row of the zoo; run `dapbench zoo`")
    return content


def agrees(folder: Path) -> bool:
    """Return whether zoo.md in `folder` is what zoo.json beside it gives."""
    try:
        text = (folder / "zoo.md").read_text()
    except OSError:
        return False
    return text == markdown(read(folder / NAME))


def totals(content: Document) -> str:
    """Return in a sentence how many networks are served."""
    parts = []
    for library, whose, noun in (("torchvision", "torchvision's", "classifiers"), ("timm", "timm's", "families")):
        rows = [row for row in content["rows"] if row["model"].startswith(f"{library}:")]
        if rows:
            good = sum(row["status"] == "ok" for row in rows)
            parts.append(f"{good} of {len(rows)} of {whose} {noun} ({100 * good / len(rows):.0f}{NBSP}%)")
    return f"Served: {' and '.join(parts)}." if parts else "No network was checked."


def summary(content: Document) -> str:
    """Return what README.md says of a result file: the totals, who is refused, and the largest errors."""
    refused = [row["model"].partition(":")[2] for row in content["rows"] if row["status"] != "ok"]
    worst = [
        f"{max(found):.0e} in {name} precision"
        for kind, name in (("float64", "double"), ("float32", "single"))
        if (found := [error for row in content["rows"] if (error := row["errors"][kind]) is not None])
    ]
    parts = [totals(content)]
    if worst:
        parts.append(
            f"Masked and extracted networks differ by at most {' and '.join(worst)}, in standard deviations of the "
            "outputs."
        )
    if refused:
        parts.append(f"Refused: {', '.join(refused)}.")
    return " ".join([*parts, "Reasons, shares and errors of each are in [the table](reports/zoo.md)."])


def markdown(content: Document) -> str:
    """Return the page of a result file."""
    rows: list[Row] = content["rows"]
    libraries = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    parts = [
        "# The zoo: which networks can be pruned",
        f"{totals(content)} A network is served when all that is compared agrees, and at least {SHARE:.0%} of its "
        "parameters lie in groups of channels that may be removed. From timm one network stands for each "
        "architecture family.",
        "Every network has random weights (no norm, bias or layer scale is left at its initial constant; running "
        "statistics are those of the images, slightly disturbed), ten classes and the smallest input it takes from 64 "
        "pixels on. Random architectures at 50, 10 and 2 % of the parameters, "
        "or at the smallest there are, are run masked and extracted. Errors are the largest difference in standard "
        f"deviations of the outputs (at most {FLOAT64:.0e} in double and {FLOAT32:.0e} in single precision), or "
        "relative to a tensor's largest gradient. Costs are those of the search space, our counter and torch's. "
        f"Made with {libraries} on {_machine(content['provenance'])} by `dapbench zoo`"
        f"{_carried(content['provenance'])}.",
        "## Errors",
        _errors(rows),
    ]
    bad = [row for row in rows if row["status"] != "ok"]
    if bad:
        columns = [words("network"), words("family"), Column("share", format=_share), words("reason")]
        refused = Table(columns, [[row["model"], row["family"], row["share"], row["reason"]] for row in bad])
        parts += ["## Refused", render.markdown(refused)]
    noted = [row for row in rows if row["note"]]
    if noted:
        parts += ["## Not compared", "\n".join(f"- {row['model']}: {row['note']}" for row in noted)]
    whole = _whole(rows)
    if whole.rows:
        parts += ["## Left whole", "Groups that never lose a unit, over all networks.", render.markdown(whole)]
    for library in ("torchvision", "timm"):
        found = [row for row in rows if row["model"].startswith(f"{library}:")]
        if found:
            parts += [f"## {library}", render.markdown(_table(found))]
    return "\n\n".join(parts) + "\n"


def _machine(provenance: Mapping[str, Any]) -> str:
    """Return what ran the networks: the device, or the processor's name."""
    device = provenance["device"]
    return str(provenance["machine"]["cpu"] if device == "cpu" else device)


def _carried(provenance: Mapping[str, Any]) -> str:
    """Return what is said of rows that are older than the file."""
    if "carried" not in provenance:
        return ""
    rows, machines = provenance["carried"]["rows"], provenance["carried"]["machines"]
    return f"; {plural(rows, 'row')} carried over from earlier runs on {' and '.join(machines)}"


def _errors(rows: Sequence[Row]) -> str:
    lines = []
    for kind, title in KINDS.items():
        found = [(error, row["model"]) for row in rows if (error := row["errors"][kind]) is not None]
        if found:
            worst, name = max(found)
            lines.append([title, len(found), median(e for e, _ in found), worst, name])
    equal = [row["costs"] for row in rows if row["costs"] is not None]
    sizes = [Column(head, format="{:.1e}".format) for head in ("median", "largest")]
    errors = Table([words("compared"), Column("networks"), *sizes, words("of")], lines)
    return render.markdown(errors) + f"\n\nCosts are equal for {sum(equal)} of {plural(len(equal), 'network')}."


def _whole(rows: Sequence[Row]) -> Table:
    groups: dict[str, int] = defaultdict(int)
    networks: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for entry in row["whole"]:
            reason = placeless(entry["reason"])
            groups[reason] += entry["groups"]
            networks[reason].add(row["model"])
    order = sorted(groups, key=lambda reason: (-len(networks[reason]), reason))
    lines = [[reason, len(networks[reason]), groups[reason]] for reason in order]
    return Table([words("reason"), Column("networks"), Column("groups")], lines)


def _table(rows: Sequence[Row]) -> Table:
    columns = [
        *(words("network"), words("family"), words("status"), Column("input")),
        *(Column(head, format=_millions) for head in ("parameters", "MACs")),
        *(Column("groups"), Column("units"), Column("share", format=_share)),
        Column("smallest", format=lambda share: f"{100 * share:.2g}{NBSP}%"),
        *(Column(head, format="{:.0e}".format) for head in ("double", "single", "gradient")),
    ]
    lines = []
    for row in rows:
        name, errors = row["model"].partition(":")[2], row["errors"]
        sizes = [row["input"], row["params"], row["macs"], row["groups"], row["units"], row["share"], row["minimum"]]
        measured = [errors["float64"], errors["float32"], errors["gradient"]]
        lines.append([name, row["family"], row["status"], *sizes, *measured])
    return Table(columns, lines)


def _share(share: float) -> str:
    return f"{100 * share:.0f}{NBSP}%"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}{NBSP}M"
