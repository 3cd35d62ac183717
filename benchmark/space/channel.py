"""Channel units: an architecture removes coupled channels, and the network becomes physically smaller."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.space.counting import positions
from benchmark.space.space import Group, SearchSpace
from benchmark.space.wiring import Indices, Wiring, trace

Array = np.ndarray[Any, Any]


class ChannelSpace(SearchSpace):
    """Units are output channels of convolutions and hidden linear layers, coupled where the network adds them.

    Groups come from torch-pruning's dependency graph (Fang et al., CVPR 2023), named after their first
    producing layer. The cost of a tensor is bilinear in the widths of its two sides, a width being an
    affine function of the numbers of kept units per group.
    """

    granularity = "channel"

    def __init__(self, model: nn.Module, example_input: Tensor, cost_kind: str = "params") -> None:
        self.wiring: Wiring = trace(model, example_input)
        groups = tuple(Group(name, size) for name, size in self.wiring.groups.items())
        super().__init__(model, groups, cost_kind)
        self._group_of = np.repeat(np.arange(len(groups)), self.sizes)
        self._readers = [
            _Reader(f"{slot.layer}.weight", slot.units, self.offsets) for slot in self.wiring.slots if slot.side == "in"
        ]
        self._cost_terms(model, positions(model, example_input))

    def _cost_terms(self, model: nn.Module, times: Mapping[str, int]) -> None:
        """Write every parameter tensor as constant * rows(K) * columns(K), K the kept units per group."""
        sides: tuple[list[Array], list[Array]] = ([], [])
        factors: dict[str, list[int]] = {"params": [], "macs": []}
        for name, parameter in model.named_parameters():
            dims = self.wiring.dims.get(name, {})
            constant = parameter.numel()
            for dim, side in enumerate(sides):
                width, row = self._width(dims.get(dim))
                side.append(row)
                constant //= width
            layer = name.removesuffix(".weight")
            factors["params"].append(constant)
            factors["macs"].append(constant * times.get(layer, 0) if name.endswith(".weight") else 0)
        self._sides = tuple(np.stack(side) for side in sides)
        self._factors = {kind: np.asarray(values, dtype=np.int64) for kind, values in factors.items()}
        self._float_sides = tuple(torch.from_numpy(side).double() for side in self._sides)
        self._float_factors = torch.from_numpy(self._factors[self.cost_kind]).double()

    def _width(self, units: Indices | None) -> tuple[int, Array]:
        """Return a side's full width and its affine row [groups + 1]: channels per kept unit, then the constant."""
        row = np.zeros(len(self.groups) + 1, dtype=np.int64)
        if units is None:
            row[-1] = 1
            return 1, row
        row[-1] = np.count_nonzero(units < 0)
        np.add.at(row, self._group_of[units[units >= 0]], 1)
        row[:-1] //= self.sizes
        return len(units), row

    def _exact(self, kind: str, a: Tensor) -> int:
        kept = [int(part.sum()) for part in a.detach().cpu().to(torch.bool).split(self.sizes)]
        return self._cost_of_kept(kind, np.asarray([*kept, 1], dtype=np.int64))

    def _cost_of_kept(self, kind: str, kept: Array) -> int:
        rows, columns = self._sides
        return int((self._factors[kind] * (rows @ kept) * (columns @ kept)).sum())

    def cost(self, a: Tensor) -> Tensor:
        """Return the cost of `a` [n]: bilinear in the kept inputs and outputs of each layer, exact at 0/1 points."""
        wide = a.double()
        kept = torch.stack([*(part.sum() for part in wide.split(self.sizes)), wide.new_ones(())])
        rows, columns = (side.to(a.device) for side in self._float_sides)
        return ((rows @ kept) * (columns @ kept) * self._float_factors.to(a.device)).sum().to(a.dtype)

    def gate(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the parameters with the input slices of every reading layer multiplied by `a`.

        Equal to masking the channels everywhere they are read, so batch norm statistics, and the
        gradients of units that are off, stay defined.
        """
        gated = dict(parameters)
        parts = self.unflatten(a)
        for reader in self._readers:
            weight = gated[reader.weight]
            gated[reader.weight] = weight * reader.factors(a, parts).view(1, -1, *[1] * (weight.dim() - 2))
        return gated

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
        ranked = self._group_of[order.numpy()]
        low, high = 0, len(ranked)
        while low < high:
            middle = (low + high + 1) // 2
            kept = base + np.bincount(ranked[:middle], minlength=groups + 1)
            if self._cost_of_kept(self.cost_kind, kept) <= limit:
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

    def shrink(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the state dict of the extracted network."""
        present = _with_ungrouped(mask)
        return {name: tensor[self._kept_entries(name, present)] for name, tensor in state.items()}

    def restore(self, kept: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the full-size state dict of an extracted network's, zero elsewhere."""
        present = _with_ungrouped(mask)
        full = {name: tensor.new_zeros(self.shapes[name]) for name, tensor in kept.items()}
        for name, tensor in kept.items():
            full[name][self._kept_entries(name, present)] = tensor
        return full

    def _kept_entries(self, name: str, present: Array) -> tuple[Any, ...]:
        """Return the index of a state entry's kept part; `...` where no dimension is governed."""
        dims = self.wiring.dims.get(name, {})
        sides = [
            np.flatnonzero(present[dims[dim]]) if dim in dims else np.arange(self.shapes[name][dim])
            for dim in range(max(dims, default=-1) + 1)
        ]
        return tuple(torch.from_numpy(side) for side in np.ix_(*sides)) or (...,)

    def _extract(self, model: nn.Module, mask: Tensor) -> nn.Module:
        copy = deepcopy(model)
        layers = dict(copy.named_modules())
        dropped = ~_with_ungrouped(mask)
        with torch.no_grad():
            for slot in self.wiring.slots:
                channels = np.flatnonzero(dropped[slot.units])
                if len(channels):
                    slot.remove(layers[slot.layer], channels.tolist())
        return copy


def _with_ungrouped(mask: Tensor) -> Array:
    """Return `mask` with one more entry, for the channels of no group (unit -1): they always stay."""
    return np.append(mask.cpu().numpy(), True)


class _Reader:
    """A layer that reads gated channels: how the factors of its input slices come out of `a`."""

    def __init__(self, weight: str, units: Indices, offsets: Mapping[str, slice]) -> None:
        self.weight = weight
        self.group: str | None = None
        self.repeat = 1
        self.units = torch.from_numpy(units)
        for name, where in offsets.items():
            width = where.stop - where.start
            repeat = len(units) // width
            if np.array_equal(units, np.repeat(np.arange(where.start, where.stop), repeat)):
                self.group, self.repeat = name, repeat

    def factors(self, a: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the factor of every input channel [C]."""
        if self.group is None:
            padded = torch.cat([a, a.new_ones(1)])
            return padded[self.units.to(a.device)]
        part = parts[self.group]
        return part if self.repeat == 1 else part.repeat_interleave(self.repeat)
