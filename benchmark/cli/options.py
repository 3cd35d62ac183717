"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.completion import methods, suites

Params = Annotated[Path, typer.Option("--params", metavar="FILE", help="The experiments' description.")]
Suite = Annotated[str, typer.Option("--suite", metavar="NAME", autocompletion=suites, help="A suite of params.yaml.")]
Suites = Annotated[
    list[str] | None,
    typer.Option(
        "--suite", metavar="NAME", autocompletion=suites, help="A suite; repeat for several. Default: run.suites."
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", metavar="NAME", autocompletion=methods, help="A method; repeat for several. Default: run.methods."
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", "--jobs", min=1, metavar="N", help="Processes. Default: compute.workers.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Compute on a Dask cluster: local:N, tcp://HOST:PORT, or slurm:FILE.yaml (docs/cluster.md).",
    ),
]
Depot = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="ADDRESS",
        help="With --cluster, where machines share no file system: jobs and data travel through s3://... or the like.",
    ),
]
Seeds = Annotated[str | None, typer.Option("--seeds", metavar="N,...", help="In place of the suite's seeds.")]
Budgets = Annotated[
    str | None, typer.Option("--budgets", metavar="X,...", help="In place of the suite's budgets, such as 0.1,0.05.")
]
Granularity = Annotated[
    list[str] | None, typer.Option("--granularity", metavar="NAME", help="In place of the suite's; repeat for several.")
]
ArchitectureFile = Annotated[Path, typer.Argument(metavar="ARCHITECTURE-FILE", help="A .safetensors file of a search.")]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Build whatever the file names, also python: models, which runs code: of your files."),
]

PARAMS = Path("params.yaml")
