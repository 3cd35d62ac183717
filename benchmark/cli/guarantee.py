"""The guarantee: what is proved of the relaxation, measured on convex objectives."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.program import command
from benchmark.errors import unknown

PANEL = "The experiment"
PARTS = ("measure", "report")
FOLDER = Path("reports/guarantee")


@command("dapbench guarantee", "dapbench guarantee --only report", panel=PANEL)
def guarantee(
    only: Annotated[
        str | None, typer.Option("--only", metavar="PART", help="measure, or report on what was. Default: both.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the files go.")] = FOLDER,
) -> None:
    """Measure the relaxation on convex objectives, beside the bounds proved in docs/guarantee.md.

    Writes guarantee.json, a table, its points and figures; takes minutes on one core. Exit code 1 when a measured gap
    exceeds its bound.
    """
    if only not in (None, *PARTS):
        raise unknown("part", only or "", PARTS, "--only")
    from benchmark.studies.guarantee import results

    if only != "report":
        import torch

        from benchmark.studies.guarantee.measure import measure

        # Another number of threads would add floats in another order.
        torch.set_num_threads(1)
        results.write(out, measure(lambda what: print(what, file=sys.stderr)))
    document = results.read(out)
    from benchmark.studies.guarantee import tables

    if only != "measure":
        from benchmark.studies.guarantee import figures

        tables.write(document, out)
        figures.draw(document, out)
    print(tables.line(document))
    raise typer.Exit(int(document["verdict"]["exceeded"] > 0))
