"""Measure and print; `python -m benchmark.studies.speed --help` lists the options."""

import argparse
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from benchmark import models, provenance
from benchmark.config.params import ComputeSection, ModelRef
from benchmark.jobs.device import set_up
from benchmark.networks.timing import quartiles
from benchmark.studies.speed.lines import LINES, USUAL, Options
from benchmark.studies.speed.load import Load


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> None:
    """Measure the lines asked for and print their ratios; what cannot be measured here is said below them."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.device == "auto":
        chosen.device = "cuda" if torch.cuda.is_available() else "cpu"
    elif chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here; use auto or cpu")
    for name in ("pairs", "workers"):
        if getattr(chosen, name) < 2:
            parser.error(f"--{name}: expected 2 or more")
    if min(chosen.jobs) < 1:
        parser.error("--jobs: expected 1 or more")
    set_up(chosen.device, threads=1)
    model = ModelRef(name=chosen.model, width=chosen.width)
    load = Load(model, chosen.channels, chosen.size, chosen.device, chosen.steps, chosen.batch)
    options = Options(chosen.pairs, chosen.mode, chosen.workers, tuple(chosen.jobs))
    _print(load, options, chosen.only, console or Console(soft_wrap=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.studies.speed",
        description="How many times faster one way is than another, on one thread per process.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to measure")
    parser.add_argument("--only", nargs="+", choices=tuple(LINES), default=USUAL, help="what to compare")
    parser.add_argument("--jobs", nargs="+", type=int, default=Options.jobs, help="finished jobs of each grid (around)")
    parser.add_argument("--pairs", type=int, default=5, help="how often each comparison is timed, 2 or more")
    parser.add_argument("--steps", type=int, default=20, help="steps of every training")
    parser.add_argument("--model", choices=models.model_names(), default="own:vgg16", help="the large model")
    parser.add_argument("--width", type=float, default=0.125, help="its width")
    parser.add_argument("--size", type=int, default=8, help="height and width of the images in pixels")
    parser.add_argument("--channels", type=int, default=1, help="channels of the images")
    parser.add_argument("--batch", type=int, default=128, help="images per step of a source training")
    parser.add_argument("--mode", default="default", help="the mode of torch.compile")
    parser.add_argument("--workers", type=int, default=ComputeSection().slots, help="processes that share the device")
    return parser


def _print(load: Load, options: Options, names: Sequence[str], console: Console) -> None:
    about = provenance.provenance(load.device)
    place = about["machine"]["cpu"] if load.device == "cpu" else about["device"]
    size = f"{load.model.name}, width {load.model.width:g}, {load.size}x{load.size} pixels, {load.steps} steps"
    table = Table(box=None, title_justify="left", title=f"{place}; {size}; medians of {options.pairs} pairs")
    for column in ("this", "instead of"):
        table.add_column(column)
    for column in ("times faster (or smaller)", "quartiles"):
        table.add_column(column, justify="right")
    failed = []
    for name in names:
        try:
            rows = LINES[name](load, options)
        except (RuntimeError, EOFError) as error:  # no compiler, a mode that torch does not know, too little memory
            reason = str(error).strip().partition("\n")[0] or "a worker has ended"
            failed.append(f"{name}: not measured: {reason}")
            continue
        for one, other, ratios in rows:
            low, middle, high = quartiles(ratios)
            table.add_row(one, other, f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
    console.print(table)
    for line in failed:
        console.print(line)


if __name__ == "__main__":
    main()
