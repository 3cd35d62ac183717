"""The measures of frozen features on one target, of a network or of the images themselves."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmark.config.params import Measure
from benchmark.jobs.specs import TargetSpec
from benchmark.protocol.features import centred_and_normalised, features, pixels
from benchmark.protocol.measures import nearest, probe
from benchmark.protocol.source import Source
from benchmark.protocol.target import Target
from benchmark.training.loop import Task

CENTRE = 2000  # images of the source's training part whose mean is the centre of all features


def frozen_measures(
    network: nn.Module | None, source: Source, target: Target, spec: TargetSpec
) -> Iterator[tuple[Measure, int, Tensor]]:
    """Yield measure, number of shots and the accuracy of every episode (doubles [E]) for what `spec` asks for.

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
            yield "nearest", shots, nearest(all_rows, target.episodes(shots, spec.nearest.episodes), queries)
        if spec.probe is not None:
            assert spec.probe.strength is not None
            episodes = target.episodes(shots, spec.probe.episodes)
            yield "probe", shots, probe(all_rows, episodes, queries, spec.probe.strength)


def summarised(accuracies: Tensor) -> tuple[float, int, float | None]:
    """Return mean, number and standard deviation (None of a single one) of the accuracies of episodes."""
    count = len(accuracies)
    return float(accuracies.mean()), count, float(accuracies.std()) if count > 1 else None
