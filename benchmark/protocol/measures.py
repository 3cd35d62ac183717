"""The measures that train nothing of the network: what its features are worth on episodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.protocol.episodes import Episode, accuracies
from benchmark.protocol.nearest import distances
from benchmark.protocol.probe import logistic_regression, logits

AT_ONCE = 25  # episodes whose distances are held in memory together
TOP = 5


@dataclass(frozen=True)
class Queries:
    """The test part of a target: its rows among the target's images, and their labels, both int64 [Q]."""

    rows: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Accuracies:
    """The accuracy of every episode, doubles [E]; `top5`, if it is asked for, counts a class among the five first."""

    top1: Tensor
    top5: Tensor | None = None


def nearest(rows: Tensor, episodes: Sequence[Episode], queries: Queries, top5: bool = False) -> Accuracies:
    """Return the accuracies of the nearest class mean; `rows` [N, D] are the features of all images."""
    return _measured(rows, episodes, queries, distances, top5, largest=False)


def probe(
    rows: Tensor, episodes: Sequence[Episode], queries: Queries, strength: float, top5: bool = False
) -> Accuracies:
    """Return the accuracies of logistic regression; `rows` [N, D] are the features of all images."""

    def fitted(support: Tensor, query: Tensor) -> Tensor:
        return logits(*logistic_regression(support, strength), query)

    return _measured(rows, episodes, queries, fitted, top5, largest=True)


def _measured(
    rows: Tensor,
    episodes: Sequence[Episode],
    queries: Queries,
    score: Callable[[Tensor, Tensor], Tensor],
    top5: bool,
    largest: bool,
) -> Accuracies:
    """Score the queries of episodes of one shape, some episodes at a time; the best class has the `largest` score."""
    query = rows[queries.rows]
    first, five = [], []
    for start in range(0, len(episodes), AT_ONCE):
        part = episodes[start : start + AT_ONCE]
        support = rows[torch.stack([one.support for one in part]).to(rows.device)]
        scores = score(support, query)
        first.append(accuracies(scores.argmax(-1) if largest else scores.argmin(-1), part, queries.labels))
        if top5:
            best = scores.topk(min(TOP, scores.shape[-1]), largest=largest).indices
            five.append(accuracies(best, part, queries.labels))
    return Accuracies(torch.cat(first), torch.cat(five) if top5 else None)
