"""Latency and memory of extracted networks beside their large models, in one run on one machine."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark import provenance
from benchmark.errors import BenchError
from benchmark.files import canonical_json
from benchmark.models.layout import in_layout
from benchmark.networks.extraction import dense_network, example_of, open_network
from benchmark.networks.memory import peak_bytes
from benchmark.networks.timing import quartiles
from benchmark.space import count

SCHEMA = 1
CONFIDENCE = 0.95
DENSE = "dense"


@dataclass(frozen=True)
class Settings:
    """How it is measured: every batch size, with `warmup` passes first and then `repeats` rounds that are timed."""

    device: str = "cpu"
    batches: tuple[int, ...] = (1, 64)
    threads: int = 1
    warmup: int = 5
    repeats: int = 30


@dataclass(frozen=True)
class Subject:
    """A network to measure: a file's, or a large model (`file` is "dense"); `dense` is its large model's place."""

    file: str
    model: dict[str, Any]
    network: nn.Module
    dense: int

    def images(self, batch: int) -> Tensor:
        """Return random images in the shape that its large model is described for."""
        shape = (self.model["in_channels"], self.model["image_size"], self.model["image_size"])
        return torch.rand_like(example_of(self.network, shape, batch)).contiguous(memory_format=torch.channels_last)


def measure(files: Sequence[Path], settings: Settings, trust: bool = False) -> dict[str, Any]:
    """Return latency and memory of the networks in `files` and of their large models, as JSON.

    In every round each network does one forward pass, in turn and in an order that rotates, so that whatever else the
    machine does meets all of them; a ratio is taken between passes of the same round. In eval mode without gradients,
    networks and images in channels-last layout. Weights of the large models are random, which changes no time.

    The result holds `settings`, `provenance` and `rows`, one per batch size and network, the large models' first
    (`file` "dense"): `params`, `macs`, `latency` (milliseconds: `median`, `q1`, `q3`, `all`), `memory` (bytes:
    `weights`, `activations` at the peak, `peak` of both), and the `ratios` of latency (`median`, `low`, `high`) and
    memory to the row's large model. `trust` is that of `load_network`. Raises
    `BenchError` for a file that is not a network, and for too little memory.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise BenchError("--device: torch finds no GPU here; use cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        subjects = _subjects(files, settings.device, trust)
        rows = [row for batch in settings.batches for row in _rows(subjects, batch, settings)]
    except torch.OutOfMemoryError as error:
        raise BenchError("--batch: too little memory on the GPU; name smaller batches or fewer files") from error
    finally:
        torch.set_num_threads(threads)
    about = provenance.provenance(settings.device)
    return {"schema": SCHEMA, "settings": asdict(settings), "provenance": about, "rows": rows}


def _subjects(files: Sequence[Path], device: str, trust: bool) -> list[Subject]:
    """The large models of all files, each once, then the files' networks."""
    opened = [(file, *open_network(file, trust)) for file in files]
    places: dict[bytes, int] = {}
    dense: list[Subject] = []
    for file, description, _ in opened:
        model = description["model"]
        if places.setdefault(canonical_json(model), len(dense)) == len(dense):
            dense.append(Subject(DENSE, model, _placed(dense_network(file, description), device), len(dense)))
    return dense + [
        Subject(str(file), known["model"], _placed(network, device), places[canonical_json(known["model"])])
        for file, known, network in opened
    ]


def _placed(network: nn.Module, device: str) -> nn.Module:
    return in_layout(network.to(device))


def _rows(subjects: Sequence[Subject], batch: int, settings: Settings) -> list[dict[str, Any]]:
    passes = [_Pass(subject, batch) for subject in subjects]
    memory = [one.memory(settings.device) for one in passes]
    times = interleaved([one.run for one in passes], settings.warmup, settings.repeats, timer(settings.device))
    return [
        {
            "file": subject.file,
            "model": subject.model,
            "batch": batch,
            "params": params,
            "macs": macs,
            "latency": {**latency(own), "all": own},
            "memory": kept,
            "ratios": {
                "latency": paired_ratio(own, times[subject.dense]),
                "memory": kept["peak"] / memory[subject.dense]["peak"],
            },
        }
        for subject, own, kept in zip(subjects, times, memory, strict=True)
        for params, macs in [count(subject.network, subject.images(1))]
    ]


class _Pass:
    """One forward pass of a network on a batch of random images."""

    def __init__(self, subject: Subject, batch: int) -> None:
        self._network = subject.network
        self._images = subject.images(batch)

    def run(self) -> Tensor:
        with torch.inference_mode():
            return self._network(self._images)

    def memory(self, device: str) -> dict[str, int]:
        """The bytes of weights and buffers, of what the pass allocates at its peak, and of both."""
        weights = sum(tensor.nbytes for tensor in (*self._network.parameters(), *self._network.buffers()))
        if device == "cuda":
            self.run()  # the libraries' own workspaces come with the first pass and stay
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.run()
            activations = torch.cuda.max_memory_allocated() - before
        else:
            activations = peak_bytes(self._network, self._images)
        return {"weights": weights, "activations": activations, "peak": weights + activations}


def interleaved(
    passes: Sequence[Callable[[], object]], warmup: int, repeats: int, timed: Callable[[Callable[[], object]], float]
) -> list[list[float]]:
    """Return the times of each pass, one per round; in every round each is done once, another one first each time."""
    for one in passes:
        for _ in range(warmup):
            one()
    times: list[list[float]] = [[] for _ in passes]
    for turn in range(repeats):
        for place in range(len(passes)):
            chosen = (turn + place) % len(passes)
            times[chosen].append(timed(passes[chosen]))
    return times


def timer(device: str) -> Callable[[Callable[[], object]], float]:
    """Return what says how many milliseconds a call takes: on CUDA by its events, otherwise by the clock."""

    def by_clock(work: Callable[[], object]) -> float:
        begin = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - begin)

    def by_events(work: Callable[[], object]) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        work()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))

    return by_events if device == "cuda" else by_clock


def latency(times: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles of two or more times."""
    low, middle, high = quartiles(times)
    return {"median": middle, "q1": low, "q3": high}


def paired_ratio(own: Sequence[float], other: Sequence[float]) -> dict[str, float | None]:
    """Return the median over rounds of `own / other`, with an interval that holds it at 95 % confidence or more.

    The interval lies between two of the ordered ratios, counted so that fewer than 2.5 % of samples would have so few
    values on one side of their median (the sign test turned round): nothing is assumed of how the times are
    distributed. Below six rounds there is none (`low` and `high` are None).
    """
    ratios = sorted(mine / its for mine, its in zip(own, other, strict=True))
    _, median, _ = quartiles(ratios)
    left = _outside(len(ratios))
    if left is None:
        return {"median": median, "low": None, "high": None}
    return {"median": median, "low": ratios[left], "high": ratios[-1 - left]}


def _outside(n: int) -> int | None:
    """How many of `n` ordered values may be left out on each side; None when even all of them are too few."""
    tail, left = 0.0, None
    for k in range(n):
        tail += math.comb(n, k) * 0.5**n
        if tail > (1 - CONFIDENCE) / 2:
            break
        left = k
    return left
