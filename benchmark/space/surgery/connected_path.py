"""The connected path that keeps a network of single weights alive from its input to its output."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.space.graph.dependencies import DependencyGraph

# Stands for infinite scores where scores are summed, so that inf - inf never appears.
LARGEST = 1e30


class Skeleton:
    """Chooses one channel per coupled group, and in each weight tensor the entry that joins the chosen channels.

    Because a channel is chosen for a whole group, the entries meet through residual sums. At a spatial
    kernel the entry is the centre tap, the one that reads inside the map at every size. On sides without
    a group (the image's channels, the classes) the best-scoring channel is taken; a tensor that reads
    a concatenation keeps one entry per group.
    """

    def __init__(self, graph: DependencyGraph, shapes: Mapping[str, Sequence[int]]) -> None:
        self._shapes = shapes
        self._readers = frozenset(graph.readers)
        self._group_sizes = list(graph.groups.values())
        group_of = np.append(np.repeat(np.arange(len(self._group_sizes)), self._group_sizes), -1)
        self._units = {
            name: {dim: torch.from_numpy(units) for dim, units in graph.dims.get(name, {}).items()} for name in shapes
        }
        self._groups = {
            name: {dim: torch.from_numpy(group_of[units.numpy()]) for dim, units in dims.items()}
            for name, dims in self._units.items()
        }

    def choose(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return per weight tensor the required entries, bool and flat, for per-tensor scores (flat)."""
        tables = {name: self._table(name, part) for name, part in scores.items()}
        chosen = self._best_channels(tables)
        return {name: self._entries(name, table, chosen) for name, table in tables.items()}

    def _table(self, name: str, scores: Tensor) -> Tensor:
        """Return the scores as [outputs, inputs, taps], finite."""
        shape = self._shapes[name]
        return scores.double().clamp(-LARGEST, LARGEST).view(shape[0], shape[1], -1)

    def _best_channels(self, tables: Mapping[str, Tensor]) -> Tensor:
        """Return a mask over all channel units with one unit per group: the highest sum of incident scores."""
        sums = torch.zeros(sum(self._group_sizes) + 1, dtype=torch.float64)
        for name, table in tables.items():
            for dim, units in self._units[name].items():
                # Unit -1 (no group) lands in the last, unused entry.
                sums.index_add_(0, units % len(sums), table.sum((1 - dim, 2)))
        chosen = torch.zeros(len(sums), dtype=torch.bool)
        start = 0
        for size in self._group_sizes:
            chosen[start + int(torch.argmax(sums[start : start + size]))] = True
            start += size
        return chosen

    def _entries(self, name: str, table: Tensor, chosen: Tensor) -> Tensor:
        picks = [self._picks(name, dim, table.sum((1 - dim, 2)), chosen) for dim in (0, 1)]
        required = torch.zeros(table.shape, dtype=torch.bool)
        centre = 0
        for kernel in self._shapes[name][2:]:
            centre = centre * kernel + kernel // 2
        for output in picks[0]:
            for channel in picks[1]:
                required[output, channel, centre] = True
        return required.view(-1)

    def _picks(self, name: str, dim: int, sums: Tensor, chosen: Tensor) -> list[int]:
        """Return the channels of one side to join.

        Those that carry chosen units, of a side that reads only the best per unit; without groups, the best.
        """
        if dim not in self._units[name]:
            return [int(torch.argmax(sums))]
        units, groups = self._units[name][dim], self._groups[name][dim]
        carriers = chosen[units] & (units >= 0)
        if (name, dim) not in self._readers:
            # Some reader may need any of them: gate and value, or query, key and value of one head.
            return torch.nonzero(carriers).flatten().tolist()
        candidates = torch.where(carriers, sums, -torch.inf)
        return [
            int(torch.argmax(torch.where(groups == group, candidates, -torch.inf)))
            for group in groups.unique().tolist()
            if group >= 0
        ]
