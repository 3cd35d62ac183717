"""The measures of frozen features on one target, of a network or of the images themselves."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.config.params import Measure
from benchmark.jobs.specs import TargetSpec
from benchmark.protocol.features import centred_and_normalised, features, pixels
from benchmark.protocol.measures import Accuracies, nearest, probe
from benchmark.protocol.source import Source
from benchmark.protocol.target import Target
from benchmark.training.loop import Task

CENTRE = 2000  # images of the source's training part whose mean is the centre of all features


def frozen_measures(
    network: nn.Module | None, source: Source, target: Target, spec: TargetSpec
) -> Iterator[tuple[Measure, int, Accuracies]]:
    """Yield measure, number of shots and the accuracies of all episodes for what `spec` asks for.

    Features are centred at their mean over the source's training part and scaled to length 1; without a network the
    images' pixels take their place.
    """
    if spec.nearest is None and spec.probe is None:
        return

    def rows(task: Task) -> Tensor:
        return pixels(task) if network is None else features(network, task)

    every = torch.arange(0, len(source.train), max(1, len(source.train) // CENTRE), device=source.train.labels.device)
    centre = rows(source.train.subset(every)).mean(0)
    # What is neither example nor query is not looked at.
    used = torch.cat([target.split.pool, target.split.test])
    found = rows(target.task.subset(used).to(source.device))
    all_rows = torch.zeros(len(target.images.labels), found.shape[1])
    all_rows[used] = centred_and_normalised(found, centre).cpu()
    queries = target.queries
    for shots in spec.shots:
        if spec.nearest is not None:
            episodes = target.episodes(shots, spec.nearest.episodes)
            yield "nearest", shots, nearest(all_rows, episodes, queries, spec.top5)
        if spec.probe is not None:
            assert spec.probe.strength is not None
            episodes = target.episodes(shots, spec.probe.episodes)
            yield "probe", shots, probe(all_rows, episodes, queries, spec.probe.strength, spec.top5)


def summarised(found: Accuracies) -> dict[str, Any]:
    """Return what a result says of the accuracies of episodes; a single one has no deviation (None)."""
    count = len(found.top1)
    return {
        "accuracy": float(found.top1.mean()),
        "episodes": count,
        "episode_sd": float(found.top1.std()) if count > 1 else None,
        "top5": None if found.top5 is None else float(found.top5.mean()),
    }
