"""Products: which channels a weight reads and makes, what products of activations join, and what each costs."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from benchmark.space.graph.gates import varies
from benchmark.space.graph.index_sets import NONE
from benchmark.space.graph.labels import Labels
from benchmark.space.graph.multiplications import factors, multiplications


@dataclass(frozen=True)
class Weighted:
    """Multiply-accumulates with a weight: `times` for each entry of the part `ranges` (dim: start, stop) of it.

    The weight is a parameter, or a buffer that the state dict may leave out; so its `shape` is said here.
    """

    tensor: str
    shape: tuple[int, ...]
    times: int
    ranges: dict[int, tuple[int, int]]

    @property
    def part(self) -> tuple[slice, ...]:
        """The part that multiplies, as an index."""
        return tuple(slice(*self.ranges.get(dim, (0, size))) for dim, size in enumerate(self.shape))

    @property
    def macs(self) -> int:
        """All multiply-accumulates."""
        return self.times * prod(one.stop - one.start for one in self.part)


class Contractions:
    """The tracer's rules for products."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._index_sets = labels.index_sets
        self.weighted: list[Weighted] = []
        self.depthwise: set[str] = set()
        self.computed: dict[str, str] = {}  # modules with convolutions whose kernel is no parameter itself, and why
        # Of products of activations: an index set of each output element (NONE: never cut), and how many for it.
        self.products: list[tuple[Tensor, int]] = []

    def follow(self, name: str, named: dict[str, Any], out: Any) -> None:
        """Follow an operator of `operators.PRODUCTS`."""
        if name == "convolution":
            self._convolution(named, out)
            return
        self._product(*factors(name, named), out)
        if name in ("addmm", "baddbmm", "addmv"):
            self._bias(named["self"], out)

    def count_only(self, name: str, named: dict[str, Any], out: Any) -> None:
        """Count what an operator multiplies whose channels are never cut."""
        self.products.append((torch.full((1,), NONE), multiplications(name, named, out)))

    def _bias(self, bias: Tensor | None, out: Tensor, dim: int = -1) -> None:
        if bias is None or not isinstance(bias, Tensor):
            return
        label = self._labels.of(bias)
        if dim != -1:
            label = label.view([-1 if i == dim else 1 for i in range(out.dim())])
        held = self._labels.of(out)
        self._index_sets.meet(held, label)
        self._labels.set(out, torch.where(held == NONE, label, held))

    def _product(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        weights = [self._labels.parameter(factor) is not None for factor in (left, right)]
        if (
            weights == [False, True]
            and right.dim() > 1
            and self._read(left, self._labels.of(left), right, out, flip=False)
        ):
            return
        if weights == [True, False] and right.dim() > 1 and left.dim() > 1:
            turned = (right.transpose(-1, -2), self._labels.of(right).transpose(-1, -2), left.transpose(-1, -2))
            if self._read(*turned, out, flip=True):
                return
        self._mix(left, right, out)

    def _read(self, x: Tensor, label: Tensor, weight: Tensor, out: Tensor, flip: bool) -> bool:
        """Follow x [.., n, k] times a parameter [.., k, m]; False where the parameter is used in another way.

        `flip`: `out` is the transpose of that product.
        """
        found = self._labels.parameter(weight)
        assert found is not None
        name, whole = found
        reading, making = (_dim_of(weight, axis, whole) for axis in (-2, -1))
        batches = weight.dim() - 2
        repeated = all(weight.shape[axis] == 1 or weight.stride(axis) == 0 for axis in range(batches))
        flat = prod(sorted(whole.shape)[-2:]) == whole.numel()
        if reading is None or making is None or reading.dim == making.dim or not repeated or not flat:
            return False
        k, m = weight.shape[-2:]
        self._reading(label.reshape(-1, k), reading.of(self._index_sets.side(name, reading.dim, True)))
        result = making.of(self._index_sets.side(name, making.dim, False)).expand(*out.shape[:-2], x.shape[-2], m)
        self._labels.set(out, result.transpose(-1, -2) if flip else result.expand(out.shape))
        ranges = {reading.dim: (reading.start, reading.stop), making.dim: (making.start, making.stop)}
        self.weighted.append(Weighted(name, tuple(whole.shape), x.numel() // k, ranges))
        return True

    def _reading(self, label: Tensor, side: Tensor) -> None:
        """Join what is read with the reading side: label [n, k], side [k]."""
        rows = label.amax(1)
        same_in_rows = bool(((label == rows[:, None]) | (label == NONE)).all())
        if same_in_rows and len(side) > 1 and len(torch.unique(rows)) > 1:
            # The weight works along another dimension (tokens), the same for all channels: it does not read them.
            self._index_sets.keep(rows, f"runs through a product along another dimension in {self._labels.where}")
            return
        columns = label.amax(0)
        self._index_sets.join(columns[None], label)
        self._index_sets.join(columns, side)

    def _mix(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        """Follow a product of activations [b, n, k] and [b, k, m]: what meets in an output element is joined."""
        operation = "a product of activations"
        one = _as_batches(self._labels.of(left), last=False)
        other = _as_batches(self._labels.of(right), last=True)
        count = max(one.shape[0], other.shape[0])
        one, other = one.expand(count, *one.shape[1:]), other.expand(count, *other.shape[1:])
        rows = self._labels.mixed(one, [2], operation)
        columns = self._labels.mixed(other, [1], operation)
        both = torch.broadcast_tensors(*self._without_gate(rows, columns))
        self._index_sets.join(both[0], both[1], f"{operation} in {self._labels.where}")
        result = torch.where(both[0] == NONE, both[1], both[0])
        self.products.append((result, one.shape[2]))
        self._labels.set(out, result.reshape(out.shape))

    def _without_gate(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Take the label from a factor of one channel (weights of places that are summed) that meets several."""
        both = [rows, columns]
        for place, other in ((0, columns), (1, rows)):
            found = int(both[place].max())
            alone = self._index_sets.alone(found) and not bool((both[place] != found).any())
            if alone and varies(other, [0, 1, 2]):
                reason = f"is one channel that multiplies all channels of another layer in {self._labels.where}"
                self._index_sets.keep(both[place], reason)
                both[place] = torch.full_like(both[place], NONE)
        return both[0], both[1]

    def _convolution(self, named: dict[str, Any], out: Tensor) -> None:
        x, weight, groups = named["input"], named["weight"], named["groups"]
        found, label = self._labels.parameter(weight), self._labels.of(named["input"])
        makes, reads = (1, 0) if named["transposed"] else (0, 1)
        if found is None or weight.shape != found[1].shape or (groups > 1 and named["transposed"]):
            kind = "grouped transposed convolution"
            if groups == 1 or not named["transposed"]:
                kind = "convolution with computed weights"
            reason = f"runs through a {kind} in {self._labels.where}"
            for tensor in (x, weight, *([named["bias"]] if named["bias"] is not None else [])):
                self._index_sets.keep(self._labels.of(tensor), reason)
            self._computed(weight)
            self.count_only("convolution", named, out)
            return
        name = found[0]
        channels = self._labels.mixed(label, [0, *range(2, x.dim())], "a convolution", strict=False).view(-1)
        made = self._index_sets.side(name, makes, False)
        if groups == 1:
            self._index_sets.join(channels, self._index_sets.side(name, reads, True))
        else:
            self._grouped(channels.view(groups, -1), made.view(groups, -1))
            if weight.shape[1] == 1:
                self.depthwise.add(name)
        self._labels.set(out, made.view(1, -1, *[1] * (out.dim() - 2)).expand(out.shape))
        self._bias(named["bias"], out, 1)
        times = multiplications("convolution", named, out) // weight.numel()
        self.weighted.append(Weighted(name, tuple(weight.shape), times, {}))

    def _computed(self, kernel: Tensor) -> None:
        """Note that the running module computes its kernel, and from which parameters it does."""
        labels = self._labels
        # One filter comes from what all do, and is looked through quickly.
        names = [name.removeprefix(f"{labels.where}.") for name in self._index_sets.holders(labels.of(kernel)[0])]
        source = f" from {', '.join(names)}" if names else ""
        self.computed.setdefault(labels.where, f"runs with a kernel that {labels.kind} computes{source}")

    def _grouped(self, channels: Tensor, made: Tensor) -> None:
        """Join all that one group of a grouped convolution reads, [groups, i], and makes, [groups, o]."""
        operation = f"a grouped convolution in {self._labels.where}" if channels.shape[1] > 1 else ""
        first = channels.amax(1, keepdim=True)
        self._index_sets.join(first, channels, operation)
        self._index_sets.join(made[:, :1], made)
        self._index_sets.join(first, made[:, :1])
        bare = (channels == NONE).any(1)
        self._index_sets.keep(
            made[bare], f"runs through a grouped convolution in {self._labels.where} that reads constants"
        )
        self._index_sets.keep(
            channels[bare], f"runs through a grouped convolution in {self._labels.where} beside constants"
        )


def _as_batches(tensor: Tensor, last: bool) -> Tensor:
    """Return a factor as [batches, n, k] (or [batches, k, m] for the `last`)."""
    if tensor.dim() == 1:
        tensor = tensor[:, None] if last else tensor[None]
    return tensor.reshape(-1, *tensor.shape[-2:])


@dataclass(frozen=True)
class _Part:
    """A range of indices of a parameter's dimension."""

    dim: int
    start: int
    stop: int

    def of(self, index_sets: Tensor) -> Tensor:
        return index_sets[self.start : self.stop]


def _dim_of(view: Tensor, axis: int, whole: Tensor) -> _Part | None:
    """Return which dimension of a parameter an axis of a view of it runs along, and over which indices."""
    width = int(view.shape[axis])
    if width == 1:
        return next((_Part(dim, 0, 1) for dim in range(whole.dim()) if whole.shape[dim] == 1), None)
    for dim, (size, stride) in enumerate(zip(whole.shape, whole.stride(), strict=True)):
        if size > 1 and stride == view.stride(axis):
            start = int(view.storage_offset() - whole.storage_offset()) // stride % size
            return _Part(dim, start, start + width) if start + width <= size else None
    return None
