"""Single networks: search one, look at it, transfer it, take it away."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmark.cli.options import PARAMS, ArchitectureFile, Params, Suite
from benchmark.cli.program import command
from benchmark.errors import BenchError, unknown

PANEL = "One architecture"
BAR = 40
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="The search's seed.")]
Width = Annotated[float | None, typer.Option("--width", help="The factor on the layers' usual width.")]


@command(
    "dapbench search --method dap --suite digits --granularity channel --budget 0.05 --out dap.safetensors",
    "dapbench search --method random --variant ratios --suite digits --granularity channel --budget 0.1 --seed 1",
    panel=PANEL,
)
def search(
    suite: Suite,
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="A method of params.yaml.")],
    granularity: Annotated[str, typer.Option("--granularity", help="channel or weight.")] = "channel",
    budget: Annotated[float | None, typer.Option("--budget", help="Share of the cost. Default: the smallest.")] = None,
    seed: Seed = 0,
    variant: Annotated[str, typer.Option("--variant", metavar="NAME", help="A variant of the method.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.")] = None,
    params: Params = PARAMS,
) -> None:
    """Search one architecture on a suite's source, and write it with its weights beside it.

    At a budget and a seed of the suite's grid it is the grid's own architecture, from the cell store if it is there.
    """
    from benchmark.config import load_params
    from benchmark.files import atomic_write, share
    from benchmark.single import narrowed, run_search
    from benchmark.space import Architecture
    from benchmark.validate import validate

    described = load_params(params)
    _check_search(described, suite, method, variant, granularity, budget)
    validate(described, [suite], str(params), params.parent)
    if budget is not None and budget not in described.suites[suite].grid.budgets:
        narrow = narrowed(described, suite, method, granularity, seed, variant, [budget])
        validate(narrow, [suite], "--budget", params.parent)
    found = run_search(described, suite, method, granularity, seed, budget, variant, params.parent)
    if found is None:
        raise typer.Exit(1)
    architecture, weights = found
    reached = Architecture.load(architecture).meta["budget"]
    name = "-".join(filter(None, (method, variant, granularity, f"b{share(reached)}", f"s{seed}")))
    path = out or Path(f"{name}.safetensors")
    atomic_write(path, architecture.read_bytes())
    atomic_write(path.with_suffix(".weights.safetensors"), weights.read_bytes())
    _show(path)


@command("dapbench transfer dap.safetensors --suite digits --weights fresh", panel=PANEL)
def transfer(
    architecture: ArchitectureFile,
    suite: Suite,
    weights: Annotated[str, typer.Option("--weights", help="fresh, scratch or inherit.")] = "fresh",
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Default: the architecture's own.")] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Weights to inherit. Default: the file beside it.")
    ] = None,
    params: Params = PARAMS,
) -> None:
    """Retrain an architecture on a suite's few-shot targets, and print its test accuracy per number of shots."""
    from benchmark.config import load_params
    from benchmark.single import transfer as retrain
    from benchmark.validate import validate

    described = load_params(params)
    _check_choice("weights mode", weights, ("fresh", "scratch", "inherit"), "--weights")
    validate(described, [suite], str(params), params.parent)
    values = retrain(described, suite, architecture, weights, seed, state, params.parent)
    if values["source_accuracy"] is not None:
        print(f"source accuracy {100 * values['source_accuracy']:.1f} %")
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for result in values["results"]:
        groups[result["target"], result["shots"]].append(result["accuracy"])
    table = Table(box=None, pad_edge=False)
    for column in ("target", "shots", f"accuracy ({weights})", "s.d. over draws"):
        table.add_column(column, justify="left" if column == "target" else "right")
    for (target, shots), found in groups.items():
        spread = f"{100 * stdev(found):.1f}" if len(found) > 1 else ""
        table.add_row(target, str(shots), f"{100 * fmean(found):.1f} %", spread)
    Console(highlight=False).print(table)


@command("dapbench show dap.safetensors", panel=PANEL)
def show(architecture: ArchitectureFile) -> None:
    """Print what an architecture file holds: its origin, its cost, and the units kept per layer."""
    _show(architecture)


@command(
    "dapbench extract dap.safetensors --out network.safetensors",
    "dapbench extract dap.safetensors --model own:vgg16 --width 0.125 --state dap.weights.safetensors",
    panel=PANEL,
)
def extract(
    architecture: ArchitectureFile,
    model: Annotated[str | None, typer.Option("--model", help="The large model. Default: the one in the file.")] = None,
    width: Width = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Weights (.safetensors). Default: initial ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.")] = None,
) -> None:
    """Write the sub-network as a PyTorch network of its own: safetensors, with its description as JSON beside it.

    `benchmark.api.load_network(FILE)` gives the `torch.nn.Module` back.
    """
    from benchmark.space import Architecture

    found = Architecture.load(architecture)
    path = out or architecture.with_suffix(".network.safetensors")
    if path.resolve() in (architecture.resolve(), state and state.resolve()):
        raise BenchError(f"--out: {path} is what the network is made from; name another file")
    from benchmark import extraction

    described = _model_of(found, model, width)
    try:
        large = extraction.large_model(described)
        if state is not None:
            extraction.load_weights(large, described, state)
        network = extraction.extract(large, described)
    except BenchError as error:
        raise BenchError(str(error) if state and str(state) in str(error) else f"{architecture}: {error}") from error
    origin = f"of {state.name}" if state else f"initial, of seed {found.meta.get('seed', 0)}, untrained"
    extraction.save_network(network, described, path, origin)
    print(f"{path}: {_number(found.meta['params'])} parameters, weights {origin}")
    print(f"{path.with_suffix('.json')}: its description")


def _model_of(found: Any, model: str | None, width: float | None) -> Any:
    """The architecture with the large model that the options name in its metadata."""
    from benchmark.config import ModelRef, parse
    from benchmark.models import check_ref

    if model is None and width is None:
        return found
    named = (
        dict(found.meta.get("model", {})) if model is None or model == found.meta.get("model", {}).get("name") else {}
    )
    if model is not None:
        named["name"] = model
    if width is not None:
        named["width"] = width
    ref = parse(ModelRef, named, "command line", "--model")
    check_ref(ref, "--model")
    return replace(found, meta={**found.meta, "model": ref.model_dump()})


def _check_search(
    described: Any, suite: str, method: str, variant: str, granularity: str, budget: float | None
) -> None:
    if suite not in described.suites:
        raise unknown("suite", suite, described.suites, "--suite")
    if method not in described.methods:
        raise unknown("method", method, described.methods, "--method")
    if variant and variant not in described.methods[method].variants:
        raise unknown("variant", variant, described.methods[method].variants, "--variant")
    _check_choice("granularity", granularity, ("channel", "weight"), "--granularity")
    if budget is not None and not 0 < budget < 1:
        raise BenchError(f"--budget: a share of the large model's cost between 0 and 1, such as 0.05, not {budget:g}")


def _check_choice(what: str, value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise unknown(what, value, known, where)


def _show(path: Path) -> None:
    from benchmark.space import Architecture

    found = Architecture.load(path)
    console, meta = Console(highlight=False), found.meta
    facts = {
        "file": str(path),
        "method": " ".join(filter(None, (meta.get("method"), _parameters(meta)))),
        "reference": meta.get("reference"),
        "large model": _parameters(meta, "model"),
        "granularity": found.granularity,
        "seed": meta.get("seed"),
        "budget": f"{100 * meta['budget']:g} % of the {meta.get('cost', 'cost')}" if "budget" in meta else None,
        "complexity": f"{100 * meta['complexity']:.4g} %" if "complexity" in meta else None,
        "parameters": _number(meta.get("params")),
        "MACs per image": _number(meta.get("macs")),
        "digest": found.digest[:16],
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        if value not in (None, ""):
            table.add_row(name, str(value))
    console.print(table)
    layers = Table(box=None, pad_edge=False)
    for name, justify in (("layer", "left"), ("kept", "right"), ("of", "right"), ("", "left")):
        layers.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, size in found.sizes.items():
        kept = found.kept[name]
        filled = max(1, round(BAR * kept / size))
        layers.add_row(name, _number(kept), _number(size), "█" * filled + "░" * (BAR - filled))
    console.print(layers)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _parameters(meta: dict[str, Any], key: str = "parameters") -> str:
    value = meta.get(key)
    return ", ".join(f"{name}={json.dumps(item)}" for name, item in value.items()) if isinstance(value, dict) else ""
