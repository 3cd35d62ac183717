"""What is compared: every function measures a line of the table, or several."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import torch

from benchmark.networks.memory import peak_of
from benchmark.networks.timing import Work, ratios
from benchmark.protocol import fewshot
from benchmark.studies.speed import around, plain
from benchmark.studies.speed.compiling import compiled
from benchmark.studies.speed.load import Load, Training
from benchmark.studies.speed.workers import sharing
from benchmark.training.stacked import NotStackable

# One way, another way, and how many times faster the one is, once per pair.
Row = tuple[str, str, list[float]]


@dataclass(frozen=True)
class Options:
    """How often each pair is timed, the mode of `torch.compile`, how many workers share the device; sizes of grids."""

    pairs: int
    mode: str
    workers: int
    jobs: tuple[int, ...] = (1000, 3000, 10_000)


def stacked(load: Load, options: Options) -> list[Row]:
    """Few-shot fine-tunings as stacked replicas, against one after the other."""
    network, draws = load.large(), load.few_shot()
    work = partial(fewshot.adapt, network, draws, load.finetune, {})

    def one_by_one() -> None:
        with patch.object(fewshot, "Replicas", side_effect=NotStackable("to compare")):
            work()

    return [(f"{load.draws} fine-tunings stacked", "one by one", ratios(work, one_by_one, options.pairs, load.device))]


def extracted(load: Load, options: Options) -> list[Row]:
    """Training an extracted sub-network, against the large model that it would be masked in."""
    work, rival = _run(load.training(load.small())), _run(load.training(load.large()))
    return [
        ("training the extracted 10 % network", "the masked large one", ratios(work, rival, options.pairs, load.device))
    ]


def against_plain(load: Load, options: Options) -> list[Row]:
    """The trainings of a grid, against the loops that one writes without this package (`plain.py`)."""
    task, draws, rival = load.source(), load.few_shot(), "a plain loop"
    large, (masked, masks) = load.large(), load.masked()
    pairs: list[tuple[str, Work, Work]] = [
        (
            "training the large model",
            _run(load.training(large)),
            partial(plain.train, load.large(), task, load.recipe()),
        ),
        (
            "training the 10 % network",
            _run(load.training(load.small())),
            partial(plain.train, masked, task, load.recipe(), masks),
        ),
        (
            f"{load.draws} fine-tunings of it",
            partial(fewshot.adapt, load.small(), draws, load.finetune, {}),
            partial(plain.adapt, masked, draws, load.finetune, masks),
        ),
    ]
    return [(one, rival, ratios(work, other, options.pairs, load.device)) for one, work, other in pairs]


def layout(load: Load, options: Options) -> list[Row]:
    """The memory layout of images and weights."""
    work, rival = (
        _run(load.training(load.large(), layout=kind)) for kind in (torch.channels_last, torch.contiguous_format)
    )
    return [("channels-last layout", "contiguous", ratios(work, rival, options.pairs, load.device))]


def precision(load: Load, options: Options) -> list[Row]:
    """The precision of the forward and backward pass."""
    work = _run(load.training(load.large(), precision="bfloat16"))
    rival = _run(load.training(load.large(), precision="float32"))
    return [("training in bfloat16", "float32", ratios(work, rival, options.pairs, load.device))]


def compiling(load: Load, options: Options) -> list[Row]:
    """`torch.compile`, without and ("anew") with the time that the compilation takes."""
    rows: list[Row] = []
    for name, training in (
        (f"{load.draws} stacked fine-tunings", load.finetuning(load.large())),
        ("training", load.training(load.large())),
    ):
        with_it, without_it = compiled(training, options.pairs, load.device, options.mode)
        rows += [
            (f"{name} compiled", "eager", without_it),
            (f"{name} compiled anew", "eager", with_it),
        ]
    return rows


def workers(load: Load, options: Options) -> list[Row]:
    """Several worker processes that share the device, against one, for the same number of small trainings."""
    with sharing(load, options.workers) as (work, rival):
        return [
            (f"{options.workers} workers on the device", "one worker", ratios(work, rival, options.pairs, load.device))
        ]


def dap(load: Load, options: Options) -> list[Row]:
    """A step of DAP, of the weights and of the architecture, beside a training step of the large model; and its memory.

    The search's few looks at the relaxed and the discrete network are in it, as are new weights at its beginning.
    """
    dense, search = _run(load.training(load.large())), load.searching()
    rows = [("a training step of the large model", "a step of DAP", ratios(dense, search, options.pairs, load.device))]
    if load.device == "cpu":
        bytes_of = [peak_of(partial(_run_new, load)), peak_of(lambda: load.searching()())]
        rows.append(("the memory of that training (smaller)", "of that search", [bytes_of[1] / bytes_of[0]] * 2))
    return rows


def around_jobs(_load: Load, options: Options) -> list[Row]:
    """A finished job's share of what is done around the jobs, in grids of several sizes against the smallest one."""
    rows: list[Row] = []
    smallest: dict[str, tuple[int, list[float]]] = {}
    with around.grid() as grid:
        for size in options.jobs:
            count = grid.grow(size)
            for command in around.COMMANDS:
                taken = around.seconds(grid.root, command, options.pairs)
                fewest, before = smallest.setdefault(command, (count, taken))
                shares = [(old / fewest) / (new / count) for old, new in zip(before, taken, strict=True)]
                told = f"{command}, by job: {count} finished, {statistics.median(taken):.1f} s"
                rows.append((told, f"{fewest} finished", shares))
    return rows


def _run_new(load: Load) -> None:
    """Build the large model and train it: all of its memory is made here."""
    _run(load.training(load.large()))()


LINES: dict[str, Callable[[Load, Options], list[Row]]] = {
    "stacked": stacked,
    "extracted": extracted,
    "plain": against_plain,
    "layout": layout,
    "precision": precision,
    "dap": dap,
    "compile": compiling,
    "workers": workers,
    "around": around_jobs,
}
# The last one takes many minutes.
USUAL = tuple(name for name in LINES if name != "around")


def _run(training: Training) -> Work:
    forward, train = training
    return partial(train, forward)
