"""Channel units: an architecture removes coupled channels, and the network becomes physically smaller."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.copying import copied
from benchmark.space.base import Group, SearchSpace
from benchmark.space.graph.cost import Array, Bilinear, macs_terms, params_terms
from benchmark.space.graph.dependencies import DependencyGraph, trace
from benchmark.space.peak_memory import PeakMemory
from benchmark.space.surgery.channel_check import admitted
from benchmark.space.surgery.mask_and_cut import Gates, Slices, extracted, share
from benchmark.space.surgery.module_edits import Change, changes


class ChannelSpace(SearchSpace):
    """Units are channels that only go together: of convolutions and hidden linear layers, attention heads, and others.

    What is coupled is found by following one run of the network (`trace`); a group is admitted only after extraction
    without some of its units has been found to compute the same as masking them. Groups are named after their first
    producing layer. The cost of a tensor is multilinear in the widths of its sides, a width being an affine function of
    the numbers of kept units per group. `share` is the part of the model's parameters that lies in the groups.
    """

    granularity = "channel"

    def __init__(self, model: nn.Module, example_input: Tensor, cost_kind: str = "params") -> None:
        self.graph: DependencyGraph = admitted(model, example_input, trace(model, example_input))
        groups = tuple(Group(name, size) for name, size in self.graph.groups.items())
        super().__init__(model, groups, cost_kind, self.graph.whole, self.graph.uncounted)
        self.share = share(model, self.graph)
        # Its modules say what extraction has to change in them; it holds no weights.
        self._modules = copied(model).to("meta")
        self._gates = Gates(self.graph)
        self._group_of = np.repeat(np.arange(len(groups)), self.sizes)
        self._costs = {
            "params": Bilinear(self.sizes, list(params_terms(model, self.graph))),
            "macs": Bilinear(self.sizes, list(macs_terms(self.graph))),
        }
        self._memory: PeakMemory | None = None
        if cost_kind == "memory":
            held = copied(model).cpu()
            image = example_input[:1].detach().cpu()
            self._memory = PeakMemory(lambda _, mask: self._extract(held, mask), image, 0, self.sizes)

    def _exact(self, kind: str, a: Tensor) -> int:
        kept = [int(part.sum()) for part in a.detach().cpu().to(torch.bool).split(self.sizes)]
        return self._of_kept(kind, np.asarray([*kept, 1], dtype=np.int64))

    def _of_kept(self, kind: str, kept: Array) -> int:
        if kind == "memory":
            assert self._memory is not None, "only a space of this cost knows its memory"
            return self._memory.of_kept((), kept)
        return self._costs[kind].of_kept(kept)

    def cost(self, a: Tensor) -> Tensor:
        """Return the cost of `a` [n]: multilinear in the kept inputs and outputs of each layer, exact at 0/1 points.

        Memory is the largest of several sums, one per step of the run; its gradient is that of the largest.
        """
        wide = a.double()
        kept = torch.stack([*(part.sum() for part in wide.split(self.sizes)), wide.new_ones(())])
        if self._memory is not None:
            return self._memory.of(wide.new_empty(0), kept).to(a.dtype)
        return self._costs[self.cost_kind].of(kept).to(a.dtype)

    def gate(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the parameters with the input slices of every reading layer multiplied by `a`.

        Equal to masking the channels everywhere they are read, so batch norm statistics, and the
        gradients of units that are off, stay defined.
        """
        return self._gates.apply(parameters, a)

    def weight_masks(self, mask: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - what is pruned is gone
        """Return nothing: the extracted network has no pruned weights."""
        return {}

    def embed(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return an extracted network's state dict at the large model's size, zero elsewhere."""
        return self.restore(state, mask)

    def _required(self, scores: Tensor) -> Tensor:
        mask = torch.zeros(self.n, dtype=torch.bool)
        for part, kept in zip(scores.split(self.sizes), mask.split(self.sizes), strict=True):
            kept[torch.argmax(part)] = True
        return mask

    def _prefix(self, required: Tensor, order: Tensor, limit: int) -> int:
        groups = len(self.groups)
        base = np.bincount(self._group_of[required.numpy()], minlength=groups + 1)
        base[groups] = 1
        apply_inversion = self._group_of[order.numpy()]
        low, high = 0, len(apply_inversion)
        while low < high:
            middle = (low + high + 1) // 2
            kept: Array = base + np.bincount(apply_inversion[:middle], minlength=groups + 1)
            if self._of_kept(self.cost_kind, kept) <= limit:
                low = middle
            else:
                high = middle - 1
        return low

    def mask_of_kept(self, kept: Mapping[str, int]) -> Tensor:
        """Return the mask [n] bool of the first `kept[group]` units of every group.

        After re-initialisation the channels of a layer are exchangeable, so the widths are the architecture.
        """
        mask = torch.zeros(self.n, dtype=torch.bool)
        for name, part in self.unflatten(mask).items():
            if not 1 <= kept.get(name, 0) <= part.numel():
                raise BenchError(f"kept: group {name} keeps {kept.get(name, 0)} units; expected 1 to {part.numel()}")
            part[: kept[name]] = True
        return mask

    def changes(self, mask: Tensor) -> list[Change]:
        """Return what extraction changes in the modules, as JSON: attributes to set, modules to replace."""
        return changes(self._modules, self.graph, mask.cpu().numpy())

    def shrink(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the state dict of the extracted network."""
        return Slices(self.graph, self.shapes, mask).cut(state)

    def restore(self, kept: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the full-size state dict of an extracted network's, zero elsewhere."""
        return Slices(self.graph, self.shapes, mask).spread(kept)

    def _extract(self, model: nn.Module, mask: Tensor) -> nn.Module:
        return extracted(model, self.graph, mask)
