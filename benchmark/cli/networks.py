"""Single networks: search one, look at it, transfer it, take it away."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from benchmark.cli.completion import methods
from benchmark.cli.options import PARAMS, ArchitectureFile, Params, Suite, Trust
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
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", autocompletion=methods, help="A method of params.yaml.")
    ],
    granularity: Annotated[
        str, typer.Option("--granularity", help="channel, weight, block or block+channel.")
    ] = "channel",
    budget: Annotated[float | None, typer.Option("--budget", help="Share of the cost. Default: the smallest.")] = None,
    seed: Seed = 0,
    variant: Annotated[str, typer.Option("--variant", metavar="NAME", help="A variant of the method.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.")] = None,
    params: Params = PARAMS,
) -> None:
    """Search one architecture on a suite's source, and write it with its weights beside it.

    At a budget and a seed of the suite's grid it is the grid's own architecture, from the job store if it is there.
    """
    from benchmark.config.params import load_params
    from benchmark.files import atomic_write, share
    from benchmark.pipeline.one_off import narrowed, run_search
    from benchmark.pipeline.validate import check_writable, validate
    from benchmark.space import Architecture

    described = load_params(params)
    _check_search(described, suite, method, variant, granularity, budget)
    validate(described, [suite], str(params), params.parent)
    if budget is not None and budget not in described.suites[suite].grid.budgets:
        narrow = narrowed(described, suite, method, granularity, seed, variant, [budget])
        validate(narrow, [suite], "--budget", params.parent)
    if out is not None:
        check_writable("--out", out)
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
    from benchmark.config.params import load_params
    from benchmark.pipeline.one_off import transfer as retrain
    from benchmark.pipeline.validate import validate

    described = load_params(params)
    _check_choice("weights mode", weights, ("fresh", "scratch", "inherit"), "--weights")
    validate(described, [suite], str(params), params.parent)
    values = retrain(described, suite, architecture, cast(Any, weights), seed, state, params.parent)
    if values is None:
        raise typer.Exit(1)
    if values.source_accuracy is not None:
        print(f"source accuracy {100 * values.source_accuracy:.1f} %")
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for result in values.results:
        groups[result.target, result.shots].append(result.accuracy)
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
    "dapbench extract dap.safetensors --out network.safetensors --loader load_network.py",
    "dapbench extract dap.safetensors --onnx network.onnx --torch-export network.pt2",
    panel=PANEL,
)
def extract(
    architecture: ArchitectureFile,
    model: Annotated[str | None, typer.Option("--model", help="The large model. Default: the one in the file.")] = None,
    width: Width = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Weights (.safetensors). Default: the large model's first."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.")] = None,
    loader: Annotated[
        Path | None, typer.Option("--loader", metavar="FILE", help="Also write the Python file that loads it anywhere.")
    ] = None,
    onnx: Annotated[Path | None, typer.Option("--onnx", metavar="FILE", help="Also write it as ONNX.")] = None,
    torch_export: Annotated[
        Path | None, typer.Option("--torch-export", metavar="FILE", help="Also write it as a torch.export program.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write the sub-network as a PyTorch network of its own: safetensors, with its description as JSON beside it.

    `load("network.safetensors")` of the loader gives the `torch.nn.Module` back, without this package unless the large
    model is one of its own; `benchmark.api.load_network` does the same. ONNX files and torch.export programs take any
    number of images, and are compared with the network before they are written.
    """
    from benchmark.space.foreign import read_architecture

    found = read_architecture(architecture)
    path = out or architecture.with_suffix(".network.safetensors")
    if path.suffix == ".json":
        raise BenchError(f"--out: {path} is where the description goes; name a .safetensors file")
    written = {"--out": path, "--loader": loader, "--onnx": onnx, "--torch-export": torch_export}
    _check_apart({option: file for option, file in written.items() if file}, [architecture, state])
    from benchmark.files import atomic_write
    from benchmark.models import loader as loader_module
    from benchmark.networks import extraction

    described = _model_of(found, model, width)
    try:
        ref = extraction.model_ref(described.meta)
        # Another model than the file's is the user's own choice.
        own = ref if model not in (None, found.meta.get("model", {}).get("name")) else None
        large = extraction.large_model(described, own, trained=state is None, trust=trust)
        space = extraction.space_of(large, described)
        if state is not None:
            extraction.load_weights(large, described, state, space)
        network = extraction.extract(large, described, space).eval()
    except BenchError as error:
        raise BenchError(str(error) if state and str(state) in str(error) else f"{architecture}: {error}") from error
    origin = f"of {state.name}" if state else f"initial, of seed {found.meta.get('seed', 0)}, untrained"
    if ref.trained and not state:
        origin = f"pretrained, of {ref.file or ref.name}"
    extraction.save_network(network, described, path, origin, space)
    print(f"{path}: {_number(found.meta.get('params'))} parameters, weights {origin}")
    print(f"{path.with_suffix('.json')}: its description")
    if loader:
        atomic_write(loader, Path(loader_module.__file__).read_bytes())
        print(f"{loader}: its loader")
    _export(network, found.meta["input"], onnx, torch_export)


@command(
    "dapbench measure network.safetensors",
    "dapbench measure small.safetensors smaller.safetensors --device cuda --batch 1 --batch 256 --out measured.json",
    panel=PANEL,
)
def measure(
    networks: Annotated[list[Path], typer.Argument(metavar="NETWORK-FILE...", help="Files of dapbench extract.")],
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    batch: Annotated[
        list[int] | None, typer.Option("--batch", min=1, help="Images at once; repeat for several. Default: 1 and 64.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of the CPU.")] = 1,
    warmup: Annotated[int, typer.Option("--warmup", min=1, help="Passes before those that are timed.")] = 5,
    repeats: Annotated[int, typer.Option("--repeats", min=2, help="Passes that are timed.")] = 30,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write all of it as JSON.")] = None,
    trust: Trust = False,
) -> None:
    """Measure latency and memory of extracted networks beside their large models, pass by pass in turn.

    A ratio is the network's value over that of its large model (dense): below 1 it is faster or smaller. Latencies are
    medians with quartiles, their ratios medians over pairs of passes with a 95 % interval. Zeroed single weights save
    neither time nor memory; removed channels do.
    """
    from benchmark.files import write_json
    from benchmark.networks.latency import Settings
    from benchmark.networks.latency import measure as run

    _check_choice("device", device, ("cpu", "cuda"), "--device")
    if out:
        _check_apart({"--out": out}, networks)
    found = run(networks, Settings(device, tuple(batch or (1, 64)), threads, warmup, repeats), trust)
    _show_measured(found)
    if out:
        write_json(out, found)


def _export(network: Any, images: Any, onnx: Path | None, torch_export: Path | None) -> None:
    """Write the network in the formats that are asked for, and say how far each is from it."""
    from benchmark.networks import exports, extraction

    example = extraction.example_of(network, images)
    for file, write in ((onnx, exports.export_onnx), (torch_export, exports.export_program)):
        if file:
            print(f"{file}: the same network, outputs within {write(network, example, file):.1e} of the largest")


def _check_apart(written: dict[str, Path], read: Sequence[Path | None]) -> None:
    """Raise `BenchError` when a file to be written is one that is read, or stands for two options."""
    taken = {file.resolve() for file in read if file}
    for option, file in written.items():
        if file.resolve() in taken:
            raise BenchError(f"{option}: {file} is read or written already; name another file")
        taken |= {file.resolve(), file.with_suffix(".json").resolve()} if option == "--out" else {file.resolve()}


def _show_measured(found: dict[str, Any]) -> None:
    settings, about = found["settings"], found["provenance"]
    place = about["machine"]["cpu"] if settings["device"] == "cpu" else about["device"]
    print(
        f"{place}, threads {settings['threads']}, torch {about['libraries']['torch']}, channels-last; "
        f"{settings['repeats']} passes in turn, after {settings['warmup']} untimed"
    )
    for batch in settings["batches"]:
        table = Table(box=None, pad_edge=False, title=f"\nbatch {batch}", title_justify="left")
        table.add_column("network", overflow="fold")
        for column in ("params", "ms (quartiles)", "of dense (95 %)", "MiB", "of dense"):
            table.add_column(column, justify="right", no_wrap=True)
        for row in found["rows"]:
            if row["batch"] == batch:
                table.add_row(*_measured(row))
        Console(highlight=False).print(table)


def _measured(row: dict[str, Any]) -> list[str]:
    """A row of the table: network, parameters, latency and its ratio, peak memory and its ratio."""
    time, ratio = row["latency"], row["ratios"]["latency"]
    size = _short(row["params"])
    spent = f"{time['median']:.3g} ({time['q1']:.3g}-{time['q3']:.3g})"
    memory = f"{row['memory']['peak'] / 2**20:.3g}"
    if row["file"] == "dense":
        return [f"dense {row['model']['name']}", size, spent, "", memory, ""]
    interval = "" if ratio["low"] is None else f" ({ratio['low']:.3g}-{ratio['high']:.3g})"
    relative = f"{ratio['median']:.3g}{interval}"
    name = row["file"].removesuffix(".safetensors")
    return [name, size, spent, relative, memory, f"{row['ratios']['memory']:.3g}"]


def _short(value: int) -> str:
    """A count in three digits: 11.7 M."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return str(value)


def _model_of(found: Any, model: str | None, width: float | None) -> Any:
    """The architecture with the large model that the options name in its metadata."""
    from benchmark.config.params import ModelRef, parse
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
    from benchmark.config.params import Granularity

    if suite not in described.suites:
        raise unknown("suite", suite, described.suites, "--suite")
    variants = described.method(method).variants
    if variant and variant not in variants:
        raise unknown("variant", variant, variants, "--variant")
    _check_choice("granularity", granularity, get_args(Granularity), "--granularity")
    if budget is not None and not 0 < budget < 1:
        raise BenchError(f"--budget: a share of the large model's cost between 0 and 1, such as 0.05, not {budget:g}")


def _check_choice(what: str, value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise unknown(what, value, known, where)


def _show(path: Path) -> None:
    from benchmark.space.foreign import read_architecture

    found = read_architecture(path)
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
