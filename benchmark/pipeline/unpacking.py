"""The architectures of a file of results: unpacked, and all that the file says of them computed again."""

import base64
import zlib
from pathlib import Path
from typing import Any

import torch

from benchmark import models
from benchmark.analysis.result_files import DataFile, read_part
from benchmark.analysis.submission import Submission, SubmittedArchitecture, refused
from benchmark.config.params import ModelRef, Params
from benchmark.errors import BenchError
from benchmark.pipeline.stages import Places
from benchmark.space import SearchSpace, build_space
from benchmark.space.foreign import read_architecture

HEADER = 2**20  # bytes that an architecture file may have beside one per unit


def unpack(params: Params, path: Path, found: Submission, root: Path, folder: Path) -> dict[str, Path]:
    """Write the architectures into `folder`, checked; returns their files by digest.

    Masks must be those of the suite's own large model, and parameters, multiply-accumulates, complexity and kept units
    what is counted on them; no budget may be exceeded. `BenchError` names the file, the key and what is wrong.
    """
    network, example = _large_model(params.suites[found.suite].model, Places(root).results(found.suite, "data.json"))
    spaces: dict[tuple[str, str], SearchSpace] = {}
    files: dict[str, Path] = {}
    for at, entry in enumerate(found.search.architectures):
        place = (entry.granularity, entry.cost)
        if place not in spaces:
            spaces[place] = build_space(network, example, *place)
        space, key = spaces[place], f"search.architectures.{at}"
        if entry.digest not in files:
            content = _content(path, f"architectures.{entry.digest}", found.architectures[entry.digest], space.n)
            files[entry.digest] = folder / f"{entry.digest}.safetensors"
            files[entry.digest].write_bytes(content)
        _check(path, key, entry, space, files[entry.digest])
    return files


def _large_model(ref: ModelRef, manifests: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    """The suite's large model without trained weights, and an input of its shape; no image is read."""
    source: Any = read_part(manifests, DataFile)[1]["source"]
    channels, size, _ = source["shape"]
    network = models.build(ref.untrained(), channels, len(source["classes"]), size)
    return network, torch.zeros(1, channels, size, size)


def _content(path: Path, key: str, text: str, units: int) -> bytes:
    """An architecture file of a space of so many units; never more of it than such a file can hold."""
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(base64.b64decode(text, validate=True), units + HEADER)
    except (ValueError, zlib.error) as error:
        raise refused(path, key, f"not base 64 of a zlib stream ({error})") from error
    if not reader.eof:
        raise refused(path, key, f"cut off, or larger than a mask of {units} units")
    return content


def _check(path: Path, key: str, entry: SubmittedArchitecture, space: SearchSpace, file: Path) -> None:
    try:
        architecture = read_architecture(file)
        mask = space.mask(architecture)
        counted = space.architecture(mask).meta
        limit = space.limit(entry.budget)
    except BenchError as error:
        raise refused(path, f"architectures.{entry.digest}", str(error).removeprefix(f"{file}: ")) from error
    if architecture.digest != entry.digest:
        raise refused(path, f"architectures.{entry.digest}", f"holds the architecture {architecture.digest}")
    if space.exact_cost(mask) > limit:
        share = space.complexity(mask)
        raise refused(path, f"{key}.budget", f"{entry.budget:g} is exceeded: the architecture costs {share:.6g}")
    found = {name: counted[name] for name in ("params", "macs", "complexity")}
    for name, value in (found | {"kept": architecture.kept, "sizes": architecture.sizes}).items():
        if getattr(entry, name) != value:
            raise refused(path, f"{key}.{name}", f"{getattr(entry, name)}, but the architecture has {value}")
