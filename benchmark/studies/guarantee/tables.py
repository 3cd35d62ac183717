"""The table and the points behind the figures: Markdown to read, CSV to compute with."""

from pathlib import Path
from typing import Any

from benchmark.files import atomic_write
from benchmark.report import render
from benchmark.report.table import Column, Table, of_records, words
from benchmark.studies.guarantee.bounds import curvature, diameter

CONSTANTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
Record = dict[str, Any]


def write(document: dict[str, Any], folder: Path) -> None:
    """Write guarantee.md and guarantee.csv into `folder`."""
    atomic_write(folder / "guarantee.md", markdown(document).encode())
    atomic_write(folder / "guarantee.csv", render.csv(of_records(points(document))).encode())


def line(document: dict[str, Any]) -> str:
    """Return the verdict in one line."""
    found = document["verdict"]
    kinds = {
        "full gradients": "full",
        "with the gradients met": "seen",
        "mini-batches": "batches",
        "last iterate": "last",
    }
    parts = ", ".join(f"{found[key]:.2f} ({name})" for name, key in kinds.items())
    exceeded = "none of" if found["exceeded"] == 0 else f"{found['exceeded']} of"
    return (
        f"The largest measured gap is {found['largest']:.2f} of its bound; by kind of bound {parts}. "
        f"Of {found['compared']} comparisons {exceeded.removesuffix(' of')} exceed the bound."
    )


def markdown(document: dict[str, Any]) -> str:
    """Return the page of a result file."""
    return (
        "\n\n".join(
            [
                "# The guarantee, measured",
                line(document),
                "What is proved stands in docs/guarantee.md. Made by `dapbench guarantee`.",
                "## Problems",
                "J(½) − J* is the gap at the start. *Uncertain* is how far the solver's minimum can be above the true "
                "one. G bounds the gradients' size anywhere in the cube, for full gradients and for batches. H bounds "
                "J's second derivatives.",
                render.markdown(_problems(document)),
                "## Largest measured gap over its bound",
                render.markdown(_ratios(document)),
                "## Constants",
                "d and m of the theorem for two temperatures: by how much the two terms of the bound grow. At one "
                "temperature d grows with the logarithm of the number of steps.",
                render.markdown(_constants()),
                "## Rounding",
                "J of architectures above the best of all, for several prices λ of complexity: gates drawn by the "
                "chances of the mean iterate (expectation), settled one by one, and those above ½. The bound is of the "
                "first two.",
                render.markdown(_rounding(document)),
            ]
        )
        + "\n"
    )


def points(document: dict[str, Any]) -> list[Record]:
    """Return every measured gap with its bounds, one record each."""
    found: list[Record] = []
    for record in document["full"]:
        for at, steps in enumerate(record["steps"]):
            found.append(
                _point("average", record, 0, steps, record["step"], record["average"][at], None, record["bound"][at])
                | {"of_mean": record["of_mean"][at], "bound_met": record["seen"][at]}
            )
    for record in document["last"]:
        for at, steps in enumerate(record["steps"]):
            found.append(
                _point("last", record, 0, steps, record["step"], record["last"][at], None, record["bound"][at])
            )
    for record in document["batches"]:
        found += [
            _point("average", record, record["batch"], p["steps"], p["step"], p["average"], p["half"], p["bound"])
            | {"of_mean": p["of_mean"]}
            for p in record["points"]
        ]
    return found


def _point(
    kind: str, record: Record, batch: int, steps: int, step: float, gap: float, half: float | None, bound: float
) -> Record:
    """One gap; a batch of 0 is the full gradient."""
    return {
        "problem": record["problem"],
        "iterate": kind,
        "ratio": record["ratio"],
        "batch": batch,
        "step": step,
        "steps": steps,
        "gap": gap,
        "half": half,
        "bound": bound,
        "of_mean": None,
        "bound_met": None,
    }


def _problems(document: dict[str, Any]) -> Table:
    numbers = {
        "penalty": ("λ", "{:g}"),
        "minimum": ("J*", "{:.4f}"),
        "uncertain": ("uncertain", "{:.0e}"),
        "start": ("J(½) − J*", "{:.3f}"),
        "size": ("G", "{:.3g}"),
        "batch_size": ("G of a batch", "{:.3g}"),
        "smoothness": ("H", "{:.3g}"),
    }
    columns = {"title": words("problem"), "loss": words("loss"), "units": Column("n"), "rows": Column("rows")}
    columns |= {key: Column(head, format=pattern.format) for key, (head, pattern) in numbers.items()}
    problems = [problem | {"start": problem["middle"] - problem["minimum"]} for problem in document["problems"]]
    return Table(list(columns.values()), [[problem[key] for key in columns] for problem in problems])


def _ratios(document: dict[str, Any]) -> Table:
    heads = ["full gradients", "with the gradients met", "mini-batches", "last iterate"]
    rows = []
    names = [(problem["name"], problem["title"]) for problem in document["problems"]]
    for name, title in [*names, ("coin", "signs hidden by noise")]:
        full = [record for record in document["full"] if record["problem"] == name]
        last = [record for record in document["last"] if record["problem"] == name]
        batched = [p for record in document["batches"] if record["problem"] == name for p in record["points"]]
        pairs = [
            [pair for r in full for pair in zip(r["average"], r["bound"], strict=True)],
            [pair for r in full for pair in zip(r["average"], r["seen"], strict=True)],
            [(point["average"], point["bound"]) for point in batched],
            [pair for r in last for pair in zip(r["last"], r["bound"], strict=True)],
        ]
        rows.append([title, *pairs])
    return Table([words("problem"), *(Column(head, format=_share) for head in heads)], rows)


def _share(pairs: list[tuple[float, float]]) -> str | None:
    return f"{max(gap / bound for gap, bound in pairs):.2f}" if pairs else None


def _constants() -> Table:
    rows = []
    for ratio in CONSTANTS:
        d = diameter(ratio)
        shown = ["∞", "∞"] if ratio == 1 else [f"{d:.3f}", f"{d / diameter(0.0):.2f}"]
        rows.append([ratio, *shown, curvature(ratio)])
    ratio_column, last = Column("τ_lo / τ_hi", format="{:g}".format), Column("m", format="{:.3f}".format)
    return Table([ratio_column, Column("d"), Column("d / ln 2"), last], rows)


def _rounding(document: dict[str, Any]) -> Table:
    titles = {problem["name"]: problem["title"] for problem in document["problems"]}
    heads = ["best architecture", "below it in the cube", "drawn", "settled", "above ½", "bound"]
    rows = []
    for r in document["rounding"]:
        gaps = [r["discrete"] - r["relaxed"], *(r[key] + 0 for key in ("expected", "settled", "threshold", "ceiling"))]
        rows.append([titles[r["problem"]], r["penalty"], r["discrete"], *gaps, r["undecided"]])
    numbers = [Column(head, format="{:.4f}".format) for head in heads]
    price, undecided = Column("λ", format="{:g}".format), Column("undecided", format="{:.0%}".format)
    return Table([words("problem"), price, *numbers, undecided], rows)
