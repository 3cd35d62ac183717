"""Layers that can be left out of a plain network: what is behind one reads its channels, or those of the layer before.

With the gate g of a layer, y = g * m layer(x) + (1 - g) * m' x, where m are the gates of the layer's channels and m'
those of the channels it takes. Nothing has to be tied: left out, the layer passes on what it takes, with its mask. For
cost and extraction the channels of y are units of their own, whose entries follow from the others:
s = g m + (1 - g) m'. The cost, multilinear in the numbers of kept units, so stays an exact polynomial in gates.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.space.graph.dependencies import DependencyGraph, Indices
from benchmark.space.graph.index_sets import NONE
from benchmark.space.surgery.blocks import Block

APART = "is a layer whose channels are cut in other places than those of the layer before it"


@dataclass(frozen=True)
class _Path:
    """A layer that can be left out: its place among the blocks, its first and its last module.

    `own` and `taken` are the units [channels] behind what it gives and takes (NONE: of no group). They are empty where
    it gives the very channels that it takes.
    """

    place: int
    first: str
    last: str
    own: Tensor
    taken: Tensor


class IdentityPaths:
    """The layers among `blocks`; `graph` is the given one with units for what is read behind each of them."""

    def __init__(self, blocks: Sequence[Block], graph: DependencyGraph) -> None:
        self._units = sum(graph.groups.values())
        self._paths: list[_Path] = []
        for place, block in enumerate(blocks):
            if block.layer:
                graph = self._add(place, block, graph)
        self.graph = graph

    def _add(self, place: int, block: Block, graph: DependencyGraph) -> DependencyGraph:
        """Note the path of a layer, and return the graph in which what is behind it reads units of their own."""
        own = taken = np.empty(0, dtype=np.int64)
        if not _gives_what_it_takes(block, graph):
            sides = graph.dims[f"{block.name}.weight"]
            own, taken = sides[0], sides.get(1, np.full(len(sides[0]), NONE))
            graph = _behind(block, own, graph)
        ends = (block.layer[0], block.layer[-1])
        self._paths.append(_Path(place, *ends, torch.from_numpy(own), torch.from_numpy(taken)))
        return graph

    def completed(self, blocks: Tensor, channels: Tensor) -> Tensor:
        """Return the entries of all units of `graph`, given those of the blocks and of the large model's own units."""
        result = channels
        for path in self._paths:
            if len(path.own):
                gate = blocks[path.place]
                own, taken = result[path.own.to(result.device)], _padded(result)[path.taken.to(result.device)]
                seen = torch.where(gate, own, taken) if gate.dtype == torch.bool else gate * own + (1 - gate) * taken
                result = torch.cat([result, seen])
        return result

    def masked(self, channels: Tensor) -> Tensor:
        """Return the entries of all units by which what reads them is gated: 1 behind a layer, which gates itself."""
        behind = sum(self.graph.groups.values()) - self._units
        return torch.cat([channels, channels.new_ones(behind)])

    @contextmanager
    def mixing(self, model: nn.Module, blocks: Tensor, channels: Tensor) -> Iterator[None]:
        """Within, every layer of `model` with such a path gives the mixture of itself and what it takes."""
        gates = _padded(self.masked(channels))
        with ExitStack() as stack:
            for path in self._paths:
                own, taken = (gates[side.to(gates.device)] for side in (path.own, path.taken))
                mixture = _Mixture(blocks[path.place], own, taken)
                first, last = model.get_submodule(path.first), model.get_submodule(path.last)
                stack.callback(first.register_forward_pre_hook(mixture.take).remove)
                stack.callback(last.register_forward_hook(mixture.give).remove)
            yield


class _Mixture:
    """What a layer gives in one run: `gate` times its own channels, the rest what it takes, each with their gates."""

    def __init__(self, gate: Tensor, own: Tensor, taken: Tensor) -> None:
        self._gate, self._own, self._taken = gate, own, taken

    def take(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note what the layer takes."""
        self._input = inputs[0]

    def give(self, _module: nn.Module, _inputs: tuple[Any, ...], result: Tensor) -> Tensor:
        """Return the mixture, in the layer's precision."""
        own, taken = self._gate * result, (1 - self._gate) * self._input
        if len(self._own):
            # The channels of maps [N, C, ...] and of rows [N, C] are dimension 1, of tokens [N, L, C] the last one.
            dim = 1 if result.shape[1] == len(self._own) else -1
            shape = [-1 if one == dim % result.dim() else 1 for one in range(result.dim())]
            own, taken = own * self._own.view(shape), taken * self._taken.view(shape)
        return (own + taken).to(result.dtype)


def obstacle(block: Block, graph: DependencyGraph) -> str:
    """Return why a layer has no identity path beside cutting the channels of `graph`, or nothing."""
    if _gives_what_it_takes(block, graph):
        return ""
    own = graph.dims[f"{block.name}.weight"].get(0)
    if own is None or NONE in own or len(np.unique(own)) < len(own) or _made_elsewhere(block, graph):
        return APART
    return ""


def _gives_what_it_takes(block: Block, graph: DependencyGraph) -> bool:
    """Tell whether a layer's channels are not cut, or only with those that it takes, as in a depthwise convolution."""
    sides = graph.dims.get(f"{block.name}.weight", {})
    if 1 in sides:
        return np.array_equal(sides.get(0, ()), sides[1])
    return not sides or _made_elsewhere(block, graph)


def _made_elsewhere(block: Block, graph: DependencyGraph) -> bool:
    """Tell whether units behind a layer's channels are made outside of the layer as well."""
    own = graph.dims[f"{block.name}.weight"].get(0, np.empty(0))
    makers = ((tensor, dim) for tensor, dim in graph.producers if not block.takes(tensor))
    return any(bool(np.isin(graph.dims[tensor][dim], own[own != NONE]).any()) for tensor, dim in makers)


def _behind(block: Block, own: Indices, graph: DependencyGraph) -> DependencyGraph:
    """Return the graph with one more group: unit i is the channel that is made by unit `own[i]` of a layer, or passed.

    All that is cut along the layer's channels outside of it is cut along these.
    """
    start = sum(graph.groups.values())
    renamed = np.append(np.arange(start), NONE)
    renamed[own] = np.arange(start, start + len(own))
    dims = {
        name: entry if block.takes(name) else {dim: renamed[units] for dim, units in entry.items()}
        for name, entry in graph.dims.items()
    }
    return replace(
        graph,
        groups={**graph.groups, f"{block.name} (behind)": len(own)},
        dims=dims,
        products=np.concatenate([graph.products[:-1], np.zeros(len(own), dtype=np.int64), graph.products[-1:]]),
    )


def _padded(entries: Tensor) -> Tensor:
    """Return entries with a last one for channels of no group, which always stay."""
    return torch.cat([entries, entries.new_ones(1)])
