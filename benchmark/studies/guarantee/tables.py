"""The table and the points behind the figures: Markdown to read, CSV to compute with."""

from pathlib import Path
from typing import Any

from benchmark.files import atomic_write
from benchmark.report.markdown import table
from benchmark.report.tables import to_csv
from benchmark.studies.guarantee.bounds import curvature, diameter

CONSTANTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
Record = dict[str, Any]


def write(document: dict[str, Any], folder: Path) -> None:
    """Write guarantee.md and guarantee.csv into `folder`."""
    atomic_write(folder / "guarantee.md", markdown(document).encode())
    atomic_write(folder / "guarantee.csv", to_csv(points(document)).encode())


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
                _problems(document),
                "## Largest measured gap over its bound",
                _ratios(document),
                "## Constants",
                "d and m of the theorem for two temperatures: by how much the two terms of the bound grow. At one "
                "temperature d grows with the logarithm of the number of steps.",
                _constants(),
                "## Rounding",
                "J of architectures above the best of all, for several prices λ of complexity: gates drawn by the "
                "chances of the mean iterate (expectation), settled one by one, and those above ½. The bound is of the "
                "first two.",
                _rounding(document),
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


def _problems(document: dict[str, Any]) -> str:
    heads = ["problem", "loss", "n", "rows", "λ", "J*", "uncertain", "J(½) − J*", "G", "G of a batch", "H"]
    rows = []
    for p in document["problems"]:
        numbers = [f"{p['minimum']:.4f}", f"{p['uncertain']:.0e}", f"{p['middle'] - p['minimum']:.3f}"]
        numbers += [f"{p[key]:.3g}" for key in ("size", "batch_size", "smoothness")]
        cells = [p["title"], p["loss"], str(p["units"]), str(p["rows"]), f"{p['penalty']:g}", *numbers]
        rows.append(cells)
    return table(heads, rows, words=2)


def _ratios(document: dict[str, Any]) -> str:
    heads = ["problem", "full gradients", "with the gradients met", "mini-batches", "last iterate"]
    rows = []
    names = [(problem["name"], problem["title"]) for problem in document["problems"]]
    for name, title in [*names, ("coin", "signs hidden by noise")]:
        full = [record for record in document["full"] if record["problem"] == name]
        last = [record for record in document["last"] if record["problem"] == name]
        batched = [p for record in document["batches"] if record["problem"] == name for p in record["points"]]
        cells = [
            _share([pair for r in full for pair in zip(r["average"], r["bound"], strict=True)]),
            _share([pair for r in full for pair in zip(r["average"], r["seen"], strict=True)]),
            _share([(point["average"], point["bound"]) for point in batched]),
            _share([pair for r in last for pair in zip(r["last"], r["bound"], strict=True)]),
        ]
        rows.append([title, *cells])
    return table(heads, rows)


def _share(pairs: list[tuple[float, float]]) -> str:
    return f"{max(gap / bound for gap, bound in pairs):.2f}" if pairs else "–"


def _constants() -> str:
    rows = []
    for ratio in CONSTANTS:
        d = diameter(ratio)
        shown = ["∞", "∞"] if ratio == 1 else [f"{d:.3f}", f"{d / diameter(0.0):.2f}"]
        rows.append([f"{ratio:g}", *shown, f"{curvature(ratio):.3f}"])
    return table(["τ_lo / τ_hi", "d", "d / ln 2", "m"], rows, words=0)


def _rounding(document: dict[str, Any]) -> str:
    titles = {problem["name"]: problem["title"] for problem in document["problems"]}
    heads = ["problem", "λ", "best architecture", "below it in the cube", "drawn", "settled", "above ½", "bound"]
    rows = []
    for r in document["rounding"]:
        numbers = [f"{r['discrete']:.4f}", f"{r['discrete'] - r['relaxed']:.4f}"]
        numbers += [f"{r[key] + 0:.4f}" for key in ("expected", "settled", "threshold", "ceiling")]
        cells = [titles[r["problem"]], f"{r['penalty']:g}", *numbers, f"{r['undecided']:.0%}"]
        rows.append(cells)
    return table([*heads, "undecided"], rows)
