"""What there is: methods, suites, large models, data sets."""

import inspect
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from rich.console import Console
from rich.table import Table

from benchmark.cli.options import PARAMS, Params, Suites
from benchmark.cli.program import app, command, examples
from benchmark.errors import BenchError

PANEL = "What there is"

data_app = typer.Typer(
    invoke_without_command=True, rich_markup_mode="rich", epilog=examples("dapbench data", "dapbench data prepare")
)
app.add_typer(data_app, name="data", rich_help_panel=PANEL)


@command("dapbench methods", "dapbench methods dap", panel=PANEL)
def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Tell all about this one.")] = None,
) -> None:
    """List the pruners, or tell what one does and which parameters it has."""
    from benchmark.cli import listings

    console = _console()
    if name is None:
        table = _table("method", "granularities", "what it does")
        for key, (granularities, what) in listings.methods().items():
            table.add_row(key, "\n".join(granularities), what)
        console.print(table)
        return
    from benchmark.pruning.registry import pruner

    kind = pruner(name, "NAME")
    console.print(f"{name} ({', '.join(kind.granularities)})\n", *_paragraphs(kind), sep="\n", markup=False)
    fields = kind.Parameters.model_fields
    if not fields:
        console.print("\nIt has no parameters.")
        return
    console.print("", *_paragraphs(kind.Parameters), "", sep="\n", markup=False)
    table = _table("parameter", "type", "default")
    for key, field in fields.items():
        table.add_row(key, _type(field.annotation), str(field.default))
    console.print(table)


@command("dapbench suites", panel=PANEL)
def suites(params: Params = PARAMS) -> None:
    """List the suites of params.yaml; those that run are marked with a star."""
    from benchmark.config.params import load_params

    described = load_params(params)
    table = _table("", "suite", "title", "large model", "grid")
    for name, suite in described.suites.items():
        grid = suite.grid
        axes = f"{len(grid.granularities)} granularities x {len(grid.budgets)} budgets x {len(grid.seeds)} seeds"
        tasks = sum(len(suite.shots(target)) * suite.draws(target) for target in suite.data.targets)
        shots = f"{tasks} few-shot tasks on {len(suite.data.targets)} targets"
        running = "*" if name in described.run.suites else ""
        table.add_row(running, name, suite.title, f"{_model(suite.model)}", f"{axes}, {shots}")
    _console().print(table)


@command("dapbench models", "dapbench models timm:convnext", "dapbench models resnet18", panel=PANEL)
def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="List those whose names begin with it, or hold it.")
    ] = None,
) -> None:
    """List the large models whose sub-architectures can be searched."""
    if name is not None:
        from benchmark.models import model_names

        begin: list[str] = []
        inside: list[str] = []
        for library in ("own", "torchvision", "timm"):
            for known in model_names(library):
                (begin if known.startswith(name) else inside if name in known else []).append(known)
        if not begin + inside:
            raise BenchError(f"NAME: no model begins with {name!r} or holds it; `dapbench models` says what there is")
        print(*(begin or inside), sep="\n")
        return
    table = _table("model", "what it is")
    from benchmark.cli import listings

    for own, what in listings.own_models().items():
        table.add_row(own, what)
    table.add_row("torchvision:NAME", "One of torchvision's classifiers; `dapbench models torchvision` lists them.")
    table.add_row(
        "timm:NAME", "One of timm's; `dapbench models timm` lists them. NAME.TAG says which published weights."
    )
    table.add_row("python:package.module:factory", "A network of your own (docs/extending.md).")
    _console().print(table)


@data_app.callback()
def data(context: typer.Context) -> None:
    """List the data sets, or prepare those of a suite."""
    if context.invoked_subcommand is None:
        data_list()


@data_app.command("list", epilog=examples("dapbench data list"))
def data_list() -> None:
    """List the data sets, and what may stand behind their colon; PATH is for you to fill in."""
    from benchmark.data.registry import datasets

    table = _table("data set", "what it is")
    for name, kind in datasets().items():
        options = [form.removeprefix(name).removeprefix(":") for form in kind.forms()]
        behind = f" ({name}:... {', '.join(filter(None, options))})" if any(options) else ""
        table.add_row(name, _paragraphs(kind)[0] + behind)
    _console().print(table)


@data_app.command("prepare", epilog=examples("dapbench data prepare --suite digits"))
def data_prepare(suite: Suites = None, params: Params = PARAMS) -> None:
    """Download what is missing, and prepare the data sets of suites below data/."""
    from benchmark.config.params import load_params
    from benchmark.pipeline.stages import prepare_data
    from benchmark.pipeline.validate import check_disk, check_names, chosen_suites

    described = load_params(params)
    check_disk(params.parent)
    chosen = chosen_suites(described, suite)
    check_names(described, str(params), chosen)
    table = _table("suite", "task", "data set", "images", "classes", "shape", "licence")
    for name in chosen:
        manifests = prepare_data(described, name, params.parent)
        for task, manifest in {"source": manifests["source"], **manifests["targets"]}.items():
            shape = "x".join(map(str, manifest["shape"]))
            classes = str(len(manifest["classes"]))
            table.add_row(name, task, manifest["name"], str(manifest["count"]), classes, shape, manifest["licence"])
    _console().print(table)


def _model(ref: Any) -> str:
    return f"{ref.name} x {ref.width:g}" if ref.library == "own" else ref.name + ", pretrained" * ref.trained


def _console() -> Console:
    return Console(highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _paragraphs(kind: type) -> list[str]:
    return [" ".join(part.split()) for part in (inspect.getdoc(kind) or "").split("\n\n")]


def _type(annotation: Any) -> str:
    """A type as a user writes it: without the bounds, which an error tells."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _type(inner[0])
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, inner))
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_type, inner))
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))
