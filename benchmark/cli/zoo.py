"""The zoo: which networks of torchvision and timm can be pruned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.program import command

if TYPE_CHECKING:
    from benchmark.studies.zoo.check import Row

PANEL = "What there is"
README = Path("README.md")


@command(
    "dapbench zoo --workers 2",
    "dapbench zoo --models timm:vit_tiny_patch16_224 torchvision:resnet18 --out rows.json",
    panel=PANEL,
)
def zoo(
    models: Annotated[
        list[str] | None, typer.Option("--models", metavar="NAME", help="Check this one only; more may follow.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="More for --models.")] = None,
    library: Annotated[str | None, typer.Option("--library", help="torchvision or timm. Default: both.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "--jobs", min=1, metavar="N", help="Default: one per core.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="What one network may take.")] = 10.0,
    memory: Annotated[float, typer.Option("--memory", min=0.1, metavar="GB", help="What one may take.")] = 14.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the rows there. Default: only of the whole zoo.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Put these networks' rows into reports/zoo.json; carry the others over.")
    ] = False,
) -> None:
    """Build, prune and check networks of torchvision and timm, and say which are served.

    The whole zoo is written to reports/zoo.json and reports/zoo.md, its totals to README.md. What is finished is kept
    in .zoo, so an interrupted run goes on where it was. Exit code 1 when a network that is treated gives wrong numbers.
    """
    from benchmark.errors import BenchError
    from benchmark.files import write_json
    from benchmark.jobs.limits import Limits
    from benchmark.jobs.local import available_workers
    from benchmark.jobs.progress import Progress
    from benchmark.studies.zoo import choices, report
    from benchmark.studies.zoo.run import run

    names = [*(models or ()), *(more or ())]
    if names and library:
        raise BenchError("--library: the networks are named already; give --models or --library")
    if update and out is not None:
        raise BenchError("--update: goes into reports/zoo.json; leave out --out")
    entries = choices.named(names) if names else choices.zoo(library)
    done = refused = 0
    with Progress() as progress:

        def on_row(row: "Row", fresh: bool) -> None:
            nonlocal done, refused
            done, refused = done + 1, refused + (row["status"] != "ok")
            count = f"{done}/{len(entries)}" + (f", {refused} refused" if refused else "")
            line = f"zoo: {count}: {row['model']} {row['status']}, {row['seconds']:.1f} s"
            progress.show("zoo", done / len(entries), count, line, row["model"], at_once=fresh)

        rows = run(entries, Path(".zoo"), workers or available_workers(), Limits(60 * minutes, memory), on_row)
    if out is not None:
        write_json(out, report.document(rows))
    elif update or (not names and not library):
        _publish(rows, update)
    _tell(rows)
    raise typer.Exit(int(any(row["wrong"] for row in rows)))


def _publish(rows: "list[Row]", update: bool) -> None:
    from benchmark.report import blocks
    from benchmark.studies.zoo import report

    folder = Path("reports")
    made = report.updated(report.read(folder / report.NAME), rows) if update else report.document(rows)
    content = report.write(folder, made)
    if README.exists():
        blocks.put(README, "zoo", lambda: report.summary(content))


def _tell(rows: "list[Row]") -> None:
    for row in rows:
        if row["status"] != "ok":
            print(f"{row['model']}: refused: {row['reason']}")
    print(f"{sum(row['status'] == 'ok' for row in rows)} of {len(rows)} networks are served")
