"""Peak memory as a cost: the largest working set of the extracted network over the order in which it runs."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.space.graph.cost import Array
from benchmark.space.graph.live_tensors import Lifetimes, lifetimes

Extract = Callable[[Tensor, Tensor], nn.Module]
Blocks = tuple[bool, ...]


class PeakMemory:
    """Bytes of activations that are alive at once while the extracted network runs on one image.

    A tensor's size is affine in the numbers of kept units per group, so with the blocks given the working set of every
    step is affine too, and the peak is the largest of these: max over steps t of the sum over groups g of
    A[t, g] kept[g] + A[t, 0]. A is read off the extracted networks, one run of the full width and one per group with a
    unit less, for each set of blocks when it is needed: what a network without a block computes, and for how long
    it holds it, is then what is counted. Weights, buffers and the image do not count.

    Between 0/1 points the maximum stays a maximum (its gradient is that of the step at the peak), with fractional
    widths; over the blocks it is the Lovasz extension: blocks that are on from t on are taken together, for t in
    [0, 1], and the peaks are averaged over t.
    """

    def __init__(self, extract: Extract, image: Tensor, blocks: int, sizes: Sequence[int]) -> None:
        """`extract(blocks, channels)` gives the network of two bool masks, whose groups of channels have `sizes`."""
        self._extract = extract
        self._image = image
        self._blocks = blocks
        self._sizes = list(sizes)
        self._known: dict[Blocks, Array] = {}
        self._asked: set[Blocks] = set()

    def of_kept(self, blocks: Sequence[bool], kept: Array) -> int:
        """Return the peak in bytes with these blocks and `kept` [groups + 1] units per group, the last entry 1."""
        on = tuple(blocks)
        if on not in self._known and on not in self._asked:
            # Most sets of blocks are asked for once, and A takes a run per group.
            self._asked.add(on)
            dropped = [size - left for size, left in zip(self._sizes, kept.tolist(), strict=False)]
            return self._run(torch.tensor(on, dtype=torch.bool), dropped).peak
        return int((self._working_sets(on) @ kept).max())

    def of(self, blocks: Tensor, kept: Tensor) -> Tensor:
        """Return the peak for fractional blocks [b] and `kept` [groups + 1], doubles, as a scalar."""
        gates, order = torch.sort(blocks, descending=True, stable=True)
        ends = torch.cat([gates.new_ones(1), gates, gates.new_zeros(1)])
        shares = ends[:-1] - ends[1:]
        on = [False] * self._blocks
        total = kept.new_zeros(())
        for place in range(self._blocks + 1):
            if place:
                on[int(order[place - 1])] = True
            # A share of zero has a gradient too: that of the block which would move it.
            total = total + shares[place] * self._largest(tuple(on), kept)
        return total

    def _largest(self, blocks: Blocks, kept: Tensor) -> Tensor:
        return (torch.from_numpy(self._working_sets(blocks)).double().to(kept.device) @ kept).max()

    def _working_sets(self, blocks: Blocks) -> Array:
        if blocks not in self._known:
            self._known[blocks] = self._measured(torch.tensor(blocks, dtype=torch.bool))
        return self._known[blocks]

    def _measured(self, blocks: Tensor) -> Array:
        """Return A [steps, groups + 1] of these blocks, without steps that are never the largest."""
        full = self._run(blocks, [0] * len(self._sizes))
        sizes = np.asarray(full.sizes, dtype=np.int64)
        slopes = np.zeros((len(self._sizes) + 1, len(sizes)), dtype=np.int64)
        for group in range(len(self._sizes)):
            less = self._run(blocks, [int(place == group) for place in range(len(self._sizes))])
            self._check(less.steps == full.steps)
            slopes[group] = sizes - np.asarray(less.sizes, dtype=np.int64)
        slopes[-1] = sizes - np.asarray(self._sizes, dtype=np.int64) @ slopes[:-1]
        steps = np.zeros((len(full.steps), len(sizes)), dtype=np.int64)
        for place, step in enumerate(full.steps):
            steps[place, list(step)] = 1
        found: Array = _undominated(steps @ slopes.T)
        thin = self._run(blocks, [size - 1 for size in self._sizes])
        self._check(thin.peak == int((found @ np.ones(found.shape[1], dtype=np.int64)).max()))
        return found

    def _run(self, blocks: Tensor, dropped: Sequence[int]) -> Lifetimes:
        """Return the lifetimes with these blocks and the last units of every group dropped."""
        kept = [torch.arange(size) < size - less for size, less in zip(self._sizes, dropped, strict=True)]
        network = self._extract(blocks, torch.cat(kept) if kept else torch.ones(0, dtype=torch.bool))
        return lifetimes(network.eval(), self._image)

    @staticmethod
    def _check(affine: bool) -> None:
        if not affine:
            raise BenchError(
                "cost: the memory of this network's activations is no sum over its channels, so it cannot be a cost; "
                "use params or macs"
            )


def _undominated(rows: Array) -> Array:
    """Return the distinct rows that are not below another one everywhere: kept units are no fewer than zero."""
    rows = np.unique(rows, axis=0)
    largest = [row for row in rows if ((row <= rows).all(axis=1).sum()) == 1]  # a row is no lower than itself
    return np.stack(largest)
