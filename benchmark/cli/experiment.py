"""The whole experiment: check it, run it, report it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from benchmark.cli.options import PARAMS, Budgets, Cluster, Depot, Granularity, Methods, Params, Seeds, Suites, Workers
from benchmark.cli.program import app, command
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.config.params import Params as Description
    from benchmark.pipeline.plan import Plan

N = TypeVar("N")
PANEL = "The experiment"
# The stages that may train; the others only read what is there.
_COMPUTING = ("data", "pretrain", "floors", "tune", "search", "transfer")


@command("dapbench validate", "dapbench validate --suite digits --params params.yaml", panel=PANEL)
def validate(suite: Suites = None, params: Params = PARAMS) -> None:
    """Check all of params.yaml, the data and the budgets, before anything is trained."""
    described = _checked(params, suite)
    for name in suite or described.run.suites:
        methods = _methods(described, name)
        print(f"{params}: suite {name} is valid ({len(methods)} methods: {', '.join(methods)})")


@command(
    "dapbench run --suite digits --workers 2",
    "dapbench run --suite digits --method dap",
    "dapbench run --suite digits --method NAME --seeds 0,1 --budgets 0.1 --granularity channel",
    "dapbench run --suite cifar --cluster slurm:cluster.yaml",
    panel=PANEL,
)
def run(
    suite: Suites = None,
    method: Methods = None,
    seeds: Seeds = None,
    budgets: Budgets = None,
    granularity: Granularity = None,
    workers: Workers = None,
    cluster: Cluster = None,
    store: Depot = None,
    params: Params = PARAMS,
) -> None:
    """Compute every job of the grid that is missing, in parallel, and write the result files.

    Finished jobs are kept in .jobs, so an interrupted run goes on where it was. `dvc repro` then only replays. With
    another grid, or an installed pruner that params.yaml does not name, no file is written but the accuracies shown.
    """
    from benchmark.pipeline import stages

    if cluster is not None and workers is not None:
        raise BenchError("--workers: a cluster has as many as it is given; leave out --workers or --cluster")
    if store is not None and cluster is None:
        raise BenchError("--store: it is what the machines of a cluster share; name one with --cluster")
    described, root = _checked(params, suite), params.parent
    chosen = suite or described.run.suites
    others = [name for name in method or () if name not in described.run.methods]
    if others or granularity or not (seeds is None and budgets is None):
        changes = (seeds, budgets, granularity)
        raise typer.Exit(_run_beside(described, chosen, method, *changes, workers, (cluster, store), root, others))
    code = stages.run_suite(described, suite, method, workers, root, cluster=cluster, depot=store)
    if code:
        raise typer.Exit(code)
    _preview([_write_files(described, name, method, root) for name in chosen], method)


@command("dapbench report", "dapbench report --suite digits", panel=PANEL)
def report(suite: Suites = None, params: Params = PARAMS) -> None:
    """Make the analysis, tables, figures and page again from the result files, and print the main table.

    The page shows the suites of run.suites only.
    """
    from rich.console import Console

    from benchmark.pipeline import stages
    from benchmark.pipeline.main_table import show

    described, root = _described(params, suite), params.parent
    for name in suite or described.run.suites:
        stages.stage(described, "analyse", name, root=root)
        stages.stage(described, "report", name, root=root)
        show(Console(highlight=False), described, name, root)
    stages.stage(described, "page", root=root)
    for name in suite or ():
        if name not in described.run.suites:
            print(
                f"{name}: not on the page, for it is not in run.suites; its figures are in "
                f"{root / 'reports' / 'figures' / name}, its tables in {root / 'reports' / 'tables' / name}"
            )
    print(f"report: {root / 'reports' / 'index.html'}")


@command("dapbench track", "dapbench track --suite digits --uri sqlite:///mlflow.db", panel=PANEL)
def track(
    suite: Suites = None,
    uri: Annotated[str, typer.Option(help="The MLflow database.")] = "sqlite:///mlflow.db",
    params: Params = PARAMS,
) -> None:
    """Make the runs in MLflow equal to the result files; doing it again changes nothing."""
    from benchmark.pipeline.validate import check_disk
    from benchmark.tracking import track as project

    described = _described(params, suite)
    check_disk(params.parent)
    summary = project(described, params.parent, uri, suite)
    print("\n".join([f"{uri}: {summary}", *(f"{name}: {link}" for name, link in summary.links.items())]))


@command("dapbench reproduce", "dapbench reproduce --suite digits --workers 2", panel=PANEL)
def reproduce(suite: Suites = None, workers: Workers = None) -> None:
    """Do everything: jobs, pipeline, MLflow, and compare with the committed results.

    Reads params.yaml of this folder. What is there already is not computed again.
    """
    described = _checked(PARAMS, suite)
    from benchmark.pipeline.reproduce import reproduce as everything

    raise typer.Exit(everything(described, suite, workers))


@command("dapbench recheck --suite fashion --workers 2", panel=PANEL)
def recheck(
    suite: Suites = None,
    method: Methods = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A checkout of the code before: compare with what it computes here."),
    ] = None,
    workers: Workers = None,
) -> None:
    """After a change of code: recompute a sample of committed results; if all are the same, they stand."""
    described = _checked(PARAMS, suite)
    from benchmark.pipeline.recheck import recheck as check

    codes = [check(described, name, workers, Path(), method, against) for name in suite or described.run.suites]
    raise typer.Exit(max(codes))


@command("dapbench stage search --suite digits --method dap", hidden=True)
def stage(
    name: Annotated[str, typer.Argument(help="A stage of dvc.yaml.")],
    suite: Annotated[str | None, typer.Option("--suite", metavar="NAME")] = None,
    method: Annotated[str | None, typer.Option("--method", metavar="NAME")] = None,
    workers: Workers = None,
    params: Params = PARAMS,
) -> None:
    """Run one stage of dvc.yaml."""
    from benchmark.pipeline import stages

    described = _checked(params, [suite] if suite else None) if name in _COMPUTING else _described(params)
    raise typer.Exit(stages.stage(described, name, suite, method, workers, params.parent))


@command("dapbench serve /tmp/stages", hidden=True)
def serve(address: Annotated[str, typer.Argument(metavar="SOCKET", help="Where stages are asked for.")]) -> None:
    """Run the stages of a pipeline in forks of this process, until standard input ends."""
    from benchmark.pipeline.warm import serve as answer

    answer(address, lambda arguments: app(arguments, prog_name="dapbench"))


def _run_beside(
    described: "Description",
    suites: list[str],
    methods: list[str] | None,
    seeds: str | None,
    budgets: str | None,
    granularities: list[str] | None,
    workers: int | None,
    where: tuple[str | None, str | None],
    root: Path,
    others: list[str],
) -> int:
    """Compute what is not the committed grid, and print its accuracies."""
    from benchmark.pipeline import stages
    from benchmark.pipeline.mending import mended
    from benchmark.pipeline.one_off import with_grid
    from benchmark.pipeline.validate import validate as check

    own = with_grid(
        described,
        suites,
        methods,
        _numbers(seeds, int, "--seeds"),
        _numbers(budgets, float, "--budgets"),
        granularities,
    )
    check(own, suites, "command line", root)

    def shown() -> int:
        code = stages.run_suite(own, suites, None, workers, root, cluster=where[0], depot=where[1])
        if not code:
            _preview([stages.plan_of(own, name, root, stages.prepare_data(own, name, root)) for name in suites])
        return code

    code = mended(stages.Places(root).store, shown)
    if others and not code:
        print(f"To run it with every suite, add it to run.methods of params.yaml: {', '.join(others)}")
    return code


def _write_files(described: "Description", suite: str, methods: list[str] | None, root: Path) -> "Plan":
    """Write the result files of a suite whose jobs are finished; returns its plan."""
    from benchmark.pipeline import stages

    def write(step: str, method: str | None = None, plan: "Plan | None" = None) -> None:
        if code := stages.stage(described, step, suite, method, root=root, plan=plan):
            raise typer.Exit(code)

    for step in ("data", "floors", "tune"):
        write(step)
    plan = stages.plan_of(described, suite, root)
    for method in _methods(described, suite, methods):
        write("search", method, plan)
        write("transfer", method, plan)
    return plan


def _preview(plans: "list[Plan]", methods: list[str] | None = None) -> None:
    """Print the accuracies of finished jobs."""
    from rich.console import Console

    from benchmark.pipeline.preview import preview

    for plan in plans:
        preview(plan, _methods(plan.params, plan.suite, methods), Console(highlight=False))


def _numbers(text: str | None, kind: Callable[[str], N], option: str) -> list[N] | None:
    try:
        return None if text is None else [kind(one) for one in text.split(",")]
    except ValueError as error:
        raise BenchError(
            f"{option}: {text!r} is no list of numbers; separate them by commas, as in 0.1,0.05"
        ) from error


def _methods(described: "Description", suite: str, named: list[str] | None = None) -> list[str]:
    running = described.methods_of(suite)
    return [method for method in running if method in (named or running)]


def _described(params: Path, suites: list[str] | None = None) -> "Description":
    from benchmark.config.params import load_params
    from benchmark.pipeline.validate import chosen_suites

    described = load_params(params)
    chosen_suites(described, suites)
    return described


def _checked(params: Path, suites: list[str] | None = None) -> "Description":
    from benchmark.pipeline.validate import validate as check

    described = _described(params, suites)
    check(described, suites, str(params), params.parent)
    return described
