"""Episodes: few-shot tasks on one target, the same for all methods at equal seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark import seeds
from benchmark.data import ImageData
from benchmark.data.splits import TargetSplit, draw_shots, draw_ways


@dataclass(frozen=True)
class Episode:
    """One draw of K examples of each of W classes.

    `support` int64 [W, K] are rows of the target's images, `classes` the original labels of its W classes, in the order
    in which the episode numbers them. `seed` is that of a head and of batches, where something is trained.
    """

    shots: int
    number: int
    classes: tuple[int, ...]
    support: Tensor
    seed: int


def episode(
    images: ImageData, split: TargetSplit, label: str, ways: int | None, shots: int, number: int, seed: int
) -> Episode:
    """Draw an episode of a target called `label`, of `ways` of its classes (None: of all).

    The examples come out of the target's pool. With `ways` the classes are the same for every number of shots, so that
    a curve over shots is one of equal tasks.
    """
    support = draw_shots(images.labels, split.pool, shots, seeds.derive(seed, "shots", label), number).view(-1, shots)
    classes = list(range(len(support)))
    if ways is not None:
        classes = draw_ways(images.classes, ways, seeds.derive(seed, "ways", label), number)
    own = seeds.derive(seed, "draw", label, shots, number)
    return Episode(shots, number, tuple(classes), support[classes], own)


def accuracies(predictions: Tensor, episodes: Sequence[Episode], labels: Tensor) -> Tensor:
    """Return the share of correct predictions per episode, doubles [E].

    `predictions` int64 [E, Q], or several for a query, [E, Q, K], one of which must be right, number the classes of
    their own episode; `labels` int64 [Q] are the original ones of the queries. A query of a class that an episode lacks
    does not count there.
    """
    places = torch.full((len(episodes), int(labels.max()) + 1), -1, dtype=torch.int64, device=labels.device)
    for row, one in zip(places, episodes, strict=True):
        row[list(one.classes)] = torch.arange(len(one.classes), device=labels.device)
    truth = places[:, labels]
    if predictions.ndim == 2:
        predictions = predictions[..., None]
    right = (predictions == truth[..., None]).any(-1)
    return (right & (truth >= 0)).sum(1).double() / (truth >= 0).sum(1)
