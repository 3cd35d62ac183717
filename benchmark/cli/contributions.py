"""Results that travel between people: made into one file, checked, and put beside a suite."""

from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer

from benchmark.cli.completion import methods
from benchmark.cli.options import PARAMS, Params, Suite, Workers
from benchmark.cli.program import command

PANEL = "Contributions"


@command("dapbench submit --method better_norm --suite digits --out better_norm.json", panel=PANEL)
def submit(
    suite: Suite,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", autocompletion=methods, help="A method that ran in the suite.")
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: METHOD.json here.")] = None,
    params: Params = PARAMS,
) -> None:
    """Write a method's results on a suite, with their architectures, as one file that anybody can check.

    The result files of `dapbench run` must be there. The file is checked as `dapbench import` does.
    """
    from benchmark.config.params import load_params
    from benchmark.errors import BenchError
    from benchmark.files import write_json
    from benchmark.pipeline.acceptance import accepted
    from benchmark.pipeline.submit import submission

    described, path = load_params(params), out or Path(f"{method}.json")
    write_json(path, submission(described, suite, method, params.parent))
    try:
        found = accepted(described, path, params.parent, new=False)
    except BenchError:
        path.unlink()
        raise
    count = len(found.architectures)
    print(f"{path}: {len(found.results.rows)} rows of {method} on {suite}, {count} architectures")


@command(
    "dapbench import better_norm.json",
    "dapbench import reports/contributed/digits/better_norm.json --rerun 3",
    panel=PANEL,
    name="import",
)
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `dapbench submit` wrote.")],
    rerun: Annotated[
        int, typer.Option("--rerun", min=0, metavar="N", help="Compute the retrainings behind N random rows again.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Of the draw of rows. Default: a new one.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Ask for equal bits: on a processor and with libraries like the file's.")
    ] = False,
    workers: Workers = None,
    params: Params = PARAMS,
) -> None:
    """Check a file of results, and put it into reports/contributed, where tables and page find it.

    Parameters and MACs are counted again from the architectures; no code of the method runs. A file that is refused
    changes nothing.
    """
    from benchmark.config.params import load_params
    from benchmark.errors import BenchError
    from benchmark.pipeline.acceptance import accepted, store

    if (exact or seed is not None) and not rerun:
        raise BenchError(f"{'--exact' if exact else '--seed'}: says how rows are computed again; add --rerun N")
    described, root = load_params(params), params.parent
    found = accepted(described, file, root)
    if rerun:
        from benchmark.pipeline.rerun import rerun as computed_again

        drawn = SystemRandom().randrange(2**31) if seed is None else seed
        print(f"rerun: {rerun} rows drawn by --seed {drawn}")
        told = computed_again(described, file, found, rerun, drawn, root, workers, exact)
        if told is None:
            raise typer.Exit(1)
        print(
            f"rerun: {told.retrainings} retrainings, {told.equal} of {told.rows} rows equal bit for bit; "
            f"claimed minus computed: {100 * told.difference:+.1f} points in the mean"
        )
    print(f"{store(file, found, root)}: accepted; `dapbench report --suite {found.suite}` shows it")
