"""Skipping blocks, and cutting channels beside: gates, cost and extraction, which must all say the same."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.models.copying import copied
from benchmark.models.loader import apply_changes
from benchmark.space.graph.cost import Array, Bilinear, Term, macs_terms, params_terms
from benchmark.space.graph.dependencies import DependencyGraph, Indices
from benchmark.space.graph.macs import CONVOLUTIONS
from benchmark.space.graph.plain_run import forget
from benchmark.space.surgery.blocks import Block
from benchmark.space.surgery.identity_paths import IdentityPaths
from benchmark.space.surgery.mask_and_cut import Gates, Slices, run
from benchmark.space.surgery.module_edits import Change, changes

NO_CHANNELS = DependencyGraph({}, {}, (), (), {}, {}, (), np.zeros(1, dtype=np.int64))


class Skipping:
    """The sub-networks of a model in which some of `blocks` are skipped and some units of `graph` are cut.

    A mask holds the blocks, in their order, and then the dependency graph's units. `macs` are those of each block as a
    whole, and of the model at last. What is behind a layer that can be skipped reads channels of the layer, or of the
    one before: `IdentityPaths` adds them to the graph as units that follow from the mask.
    """

    def __init__(self, model: nn.Module, blocks: Sequence[Block], graph: DependencyGraph, macs: Sequence[int]) -> None:
        self.blocks = blocks
        self._own = len(blocks) + sum(graph.groups.values())
        self._paths = IdentityPaths(blocks, graph)
        self._graph = graph = self._paths.graph
        state = model.state_dict()
        self._shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        self._types = {name: tensor.dtype for name, tensor in state.items()}
        # Beside the state, kernels that it leaves out.
        names = [*state, *(product.tensor for product in graph.weighted)]
        self._block_of = {name: place for place, block in enumerate(blocks) for name in names if block.takes(name)}
        # The modules say what extraction has to change in them; they hold no weights.
        self._modules = copied(
            model, {id(tensor): _no_weights(tensor) for tensor in model.state_dict(keep_vars=True).values()}
        )
        self._gates = Gates(graph) if graph.groups else None
        self._channels = list(graph.groups.values())
        # To the costs a block is a group of one, behind those of the channels.
        sizes, first = [*self._channels, *[1] * len(blocks)], sum(self._channels)
        own = [np.array([first + place]) for place in range(len(blocks))]
        units = {name: own[place] for name, place in self._block_of.items()}
        terms = list(macs_terms(graph, units))
        terms += _rest(terms, first, macs)
        self.costs = {
            "params": Bilinear(sizes, list(params_terms(model, graph, units))),
            "macs": Bilinear(sizes, terms),
        }

    def kept(self, mask: Tensor) -> Array:
        """Return what the costs count: the kept units of every group of channels, the blocks, and 1."""
        blocks, channels = self._split(mask.detach().cpu().to(torch.bool))
        widths = [int(part.sum()) for part in channels.split(self._channels)] if self._channels else []
        return np.asarray([*widths, *blocks.int().tolist(), 1], dtype=np.int64)

    def cost(self, kind: str, a: Tensor) -> Tensor:
        """Return the cost of `a` as a scalar of its dtype."""
        blocks, channels = self._split(a.double())
        widths = [part.sum() for part in channels.split(self._channels)] if self._channels else []
        kept = torch.cat([*(width.view(1) for width in widths), blocks, blocks.new_ones(1)])
        return self.costs[kind].of(kept).to(a.dtype)

    def gate(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the parameters with the gates of channels and of residual branches applied."""
        blocks, channels = a[: len(self.blocks)], a[len(self.blocks) :]
        result = self._gates.apply(parameters, self._paths.masked(channels)) if self._gates else dict(parameters)
        for block, open_ in zip(self.blocks, blocks, strict=True):
            for name in block.gates:
                result[name] = result[name] * open_
        return result

    def run(self, model: nn.Module, tensors: Mapping[str, Tensor], a: Tensor, *inputs: Any) -> Any:
        """Return what `model` computes with `tensors`, blocks and channels gated by `a`."""
        with self._paths.mixing(model, a[: len(self.blocks)], a[len(self.blocks) :]):
            return run(model, self.gate(tensors, a), *inputs)

    def changes(self, mask: Tensor) -> list[Change]:
        """Return what extraction changes in the modules: widths first, then what is replaced."""
        blocks, channels = self._split(mask.cpu().to(torch.bool))
        units = np.append(channels.numpy(), True)
        skipped = [block for block, kept in zip(self.blocks, blocks.tolist(), strict=True) if not kept]
        found = changes(self._modules, self._graph, channels.numpy())
        result = [one for one in found if not any(block.takes(one["module"]) for block in skipped)]
        for block in skipped:
            result += block.changes if block.layer else [self._cut(change, units) for change in block.changes]
        return result

    def _cut(self, change: Change, units: Indices) -> Change:
        """Return the change that replaces a layer, in the widths that are left."""
        sides = self._graph.dims.get(f"{change['module']}.weight", {})
        settings = change.get("set", {})
        if 0 in sides and ("size" in settings or (1 in sides and not np.array_equal(sides[0], sides[1]))):
            layer = self._modules.get_submodule(change["module"])
            dim = 1 if isinstance(layer, CONVOLUTIONS) else -1
            settings = {"dim": dim} | settings | {"size": int(units[sides[0]].sum())}
            return change | {"replace": "zero", "set": settings}
        return change

    def tensors(self, mask: Tensor) -> list[str]:
        """Return the names of the extracted network's parameters and buffers."""
        kept = [*self._split(mask)[0].tolist(), True]
        return [name for name in self._shapes if kept[self._block_of.get(name, -1)]]

    def cut(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the kept entries of every tensor that stays."""
        stays = set(self.tensors(mask))
        return self._slices(mask).cut({name: tensor for name, tensor in state.items() if name in stays})

    def spread(self, kept: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return full-size tensors of what `cut` kept, zero elsewhere."""
        full = self._slices(mask).spread(kept)
        real = next(tensor for tensor in kept.values() if tensor.is_floating_point())
        for name, shape in self._shapes.items():
            if name not in full:
                dtype = real.dtype if self._types[name].is_floating_point else self._types[name]
                full[name] = torch.zeros(shape, dtype=dtype, device=real.device)
        return {name: full[name] for name in self._shapes}

    def extracted(self, model: nn.Module, mask: Tensor, own: bool = True) -> nn.Module:
        """Return a copy of `model` without what `mask` drops.

        With `own` its tensors are its own; without, those that are not cut are the model's.
        """
        state = model.state_dict(keep_vars=True)
        tensors = self.cut({name: tensor.detach() for name, tensor in state.items()}, mask)
        if own:
            tensors = {name: tensor.clone() if tensor._is_view() else tensor for name, tensor in tensors.items()}
        forget(model)
        # The modules are copied without their tensors, which are replaced next.
        copy = copied(model, {id(tensor): tensor for tensor in state.values()})
        apply_changes(copy, self.changes(mask), tensors)
        return copy

    def _slices(self, mask: Tensor) -> Slices:
        return Slices(self._graph, self._shapes, self._split(mask)[1])

    def _split(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the entries of the blocks, and those of all units of the graph, also those that follow from others."""
        blocks, channels = mask[: len(self.blocks)], mask[len(self.blocks) : self._own]
        return blocks, self._paths.completed(blocks, channels)


def _no_weights(tensor: Tensor) -> Tensor:
    empty = tensor.detach().to("meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _rest(terms: Sequence[Term], first: int, macs: Sequence[int]) -> list[Term]:
    """Return the terms of the multiply-accumulates that no term states: of each block, and outside the blocks."""
    stated: dict[int, int] = defaultdict(int)
    for entries, sides in terms:
        last: Indices | None = sides[-1] if sides else None
        stated[int(last[0]) - first if last is not None and len(last) and last[0] >= first else -1] += entries
    blocks = [macs[place] - stated[place] for place in range(len(macs) - 1)]
    result: list[Term] = [(entries, [np.array([first + place])]) for place, entries in enumerate(blocks)]
    result.append((macs[-1] - sum(entries for entries, _ in terms) - sum(blocks), []))
    return result
