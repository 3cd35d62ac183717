"""What the controls `labels` and `shuffled` permute: the source's labels, and an architecture's units."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from benchmark import seeds
from benchmark.errors import BenchError
from benchmark.jobs.specs import PretrainSpec, SearchSpec
from benchmark.jobs.store import Context
from benchmark.protocol.source import Source, open_source
from benchmark.space import SearchSpace
from benchmark.training.loop import Task


def open_searched(spec: PretrainSpec | SearchSpec, context: Context) -> Source:
    """Open the source of a pretraining or a search; in the control `labels` its labels are permuted."""
    source = open_source(spec, context)
    if spec.sanity != "labels":
        return source
    train, validation = (
        with_permuted_labels(task, seeds.generator(source.seed, "sanity", "labels", name))
        for name, task in (("train", source.train), ("validation", source.validation))
    )
    return replace(source, train=train, validation=validation)


def with_permuted_labels(task: Task, generator: torch.Generator) -> Task:
    """Return the task with its own labels dealt out anew: as many of each, on other images."""
    order = torch.randperm(len(task), generator=generator).to(task.labels.device)
    return replace(task, labels=task.labels[order])


def shuffled(space: SearchSpace, kept: Mapping[str, int], seed: int) -> Tensor:
    """Return a mask [n] bool that keeps `kept[group]` units of every group, drawn at random, and is connected.

    That is what permuting the units of any architecture with these numbers within each group gives. For equal seeds
    a smaller number keeps a part of what a larger one keeps. `BenchError` where fewer are kept than a path needs.
    """
    scores = torch.rand(space.n, generator=seeds.generator(seed, "sanity", "shuffled"), dtype=torch.float64)
    path = space.project(scores, space.minimum)
    mask = torch.zeros(space.n, dtype=torch.bool)
    for name, part in space.offsets.items():
        if kept[name] < int(path[part].sum()):
            raise BenchError(f"shuffled: group {name} keeps {kept[name]} units, too few to connect input and output")
        order = torch.argsort(scores[part] + path[part], descending=True)
        mask[part][order[: kept[name]]] = True
    return mask
