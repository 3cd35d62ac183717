"""An architecture file to read, damage or transfer."""

from pathlib import Path

import torch

from benchmark.config.params import ModelRef
from benchmark.models import build
from benchmark.space import build_space


def architecture(folder: Path, name: str = "a.safetensors", width: float = 0.0625) -> bytes:
    """Write an architecture of own:vgg16 at 10 % of its parameters, and return the file's content."""
    space = build_space(build(ModelRef(name="own:vgg16", width=width), 1, 3, 8), torch.zeros(1, 1, 8, 8), "channel")
    scores = torch.rand(space.n, generator=torch.Generator().manual_seed(0))
    meta = {"model": {"name": "own:vgg16", "width": width}, "input": [1, 8, 8], "classes": 3, "seed": 0, "budget": 0.1}
    space.architecture(space.project(scores, 0.1), meta).save(folder / name)
    return (folder / name).read_bytes()
