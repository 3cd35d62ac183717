"""The measures that train nothing of the network: what its features are worth on episodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.protocol.episodes import Episode, accuracies
from benchmark.protocol.nearest import nearest_class_mean
from benchmark.protocol.probe import classify, logistic_regression

AT_ONCE = 25  # episodes whose distances are held in memory together


@dataclass(frozen=True)
class Queries:
    """The test part of a target: its rows among the target's images, and their labels, both int64 [Q]."""

    rows: Tensor
    labels: Tensor


def nearest(rows: Tensor, episodes: Sequence[Episode], queries: Queries) -> Tensor:
    """Return the accuracy of the nearest class mean per episode, doubles [E]; `rows` [N, D] of all images."""
    return _measured(rows, episodes, queries, nearest_class_mean)


def probe(rows: Tensor, episodes: Sequence[Episode], queries: Queries, strength: float) -> Tensor:
    """Return the accuracy of logistic regression per episode, doubles [E]; `rows` [N, D] of all images."""

    def fitted(support: Tensor, query: Tensor) -> Tensor:
        return classify(*logistic_regression(support, strength), query)

    return _measured(rows, episodes, queries, fitted)


def _measured(
    rows: Tensor, episodes: Sequence[Episode], queries: Queries, predict: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Predict the queries of episodes of one shape, some at a time."""
    query, found = rows[queries.rows], []
    for start in range(0, len(episodes), AT_ONCE):
        part = episodes[start : start + AT_ONCE]
        support = rows[torch.stack([one.support for one in part]).to(rows.device)]
        found.append(accuracies(predict(support, query), part, queries.labels))
    return torch.cat(found)
