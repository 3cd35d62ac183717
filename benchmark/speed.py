"""How much the suite's shortcuts save, as ratios on this machine: `python -m benchmark.speed`.

Each line times two ways to do the same work in turn, A B A B ..., on one thread, and prints the median of the
pairwise ratios with their range; a ratio above 1 says how many times faster the way that the suite takes is.
"""

import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from benchmark import models, provenance, seeds
from benchmark.config import ModelRef, Recipe
from benchmark.protocol import transfer
from benchmark.protocol.transfer import Draw, adapt
from benchmark.replicas import NotStackable, Replicas
from benchmark.space import build_space
from benchmark.training import Task, batches, fit, ready

MODEL = ModelRef(name="own:vgg16", width=0.125)
RECIPE = Recipe(steps=20, batch=20, lr=0.05, norm_momentum=0.5)
PAIRS = 5
Work = Callable[[], object]


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    machine = provenance.provenance("cpu")["machine"]["cpu"]
    table = Table(box=None, title_justify="left", title=f"{machine}, one thread, median of {PAIRS} pairs")
    table.add_column("what the suite does")
    table.add_column("instead of")
    table.add_column("ratio", justify="right")
    table.add_column("range", justify="right")
    for chosen, other, work, rival in (
        ("15 fine-tunings stacked", "one by one", *_stacked()),
        ("training the extracted 10 % network", "the masked large one", *_extracted()),
        ("channels-last layout", "contiguous", *_layout()),
    ):
        ratios = _ratios(work, rival)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        table.add_row(chosen, other, f"{statistics.median(ratios):.2f}", spread)
    Console().print(table)


def _ratios(work: Work, rival: Work) -> list[float]:
    work()
    rival()
    pairs = [(_seconds(work), _seconds(rival)) for _ in range(PAIRS)]
    return [other / ours for ours, other in pairs]


def _seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _task(count: int) -> Task:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Task(images, torch.arange(count) % 5, torch.tensor([0.5]), torch.tensor([0.3]))


def _stacked() -> tuple[Work, Work]:
    network = models.build(MODEL, 1, 5, 8).to(memory_format=torch.channels_last)
    test = _task(100)
    draws = [Draw("target", 5, draw, _task(25), test, 5, draw) for draw in range(15)]

    def one_by_one() -> None:
        def refuse(*_: object) -> Replicas:
            raise NotStackable("to compare")

        stacked, transfer.Replicas = transfer.Replicas, refuse  # type: ignore[misc,assignment]
        try:
            adapt(network, draws, RECIPE, {})
        finally:
            transfer.Replicas = stacked  # type: ignore[misc]

    return lambda: adapt(network, draws, RECIPE, {}), one_by_one


def _training(network: torch.nn.Module, layout: torch.memory_format = torch.channels_last) -> Work:
    recipe = RECIPE.model_copy(update={"batch": 128})
    network = ready(network.to(memory_format=layout), recipe)
    task = _task(512)

    def work() -> None:
        data = batches(task, recipe, seeds.generator(0, "speed"))
        shown = ((images.contiguous(memory_format=layout), labels) for images, labels in data)
        fit(network, dict(network.named_parameters()), shown, recipe)

    return work


def _extracted() -> tuple[Work, Work]:
    large = models.build(MODEL, 1, 5, 8)
    space = build_space(large, torch.zeros(1, 1, 8, 8), "channel")
    mask = space.project(torch.rand(space.n, generator=torch.Generator().manual_seed(0)), 0.1)
    small = space.extract(large, space.architecture(mask))
    return _training(small), _training(models.build(MODEL, 1, 5, 8))


def _layout() -> tuple[Work, Work]:
    return _training(models.build(MODEL, 1, 5, 8)), _training(models.build(MODEL, 1, 5, 8), torch.contiguous_format)


if __name__ == "__main__":
    main()
