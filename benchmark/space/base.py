"""What every search space can do, whatever its units are."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.files import canonical_json
from benchmark.space.architecture import Architecture
from benchmark.space.surgery.blocks import Block
from benchmark.space.surgery.mask_and_cut import run

COSTS = ("params", "macs", "memory")


@dataclass(frozen=True)
class Group:
    """Units that are chosen together in one layer (or in coupled layers): a name and how many."""

    name: str
    size: int


class SearchSpace(ABC):
    """All sub-architectures of a large model: vectors a in {0,1}^n over its units.

    The flat unit vector holds the groups one after the other (`groups`, `offsets`); `n` is its length.
    `cost_kind` ("params", "macs" or "memory") is what budgets are shares of, `total` the large model's cost.
    Costs are those of the extracted network: all parameters, multiply-accumulates for one input, or the most bytes of
    activations that are alive at once for one input.
    """

    granularity: ClassVar[str]
    # The blocks among the units, which come first; other spaces have none.
    blocks: tuple[Block, ...] = ()

    def __init__(
        self,
        model: nn.Module,
        groups: tuple[Group, ...],
        cost_kind: str,
        whole: Mapping[str, str] = MappingProxyType({}),
        uncounted: str = "",
    ) -> None:
        if cost_kind not in COSTS:
            raise BenchError(f"cost: {cost_kind!r} is unknown; expected one of {', '.join(COSTS)}")
        if not groups:
            common = [reason for reason, _ in Counter(whole.values()).most_common(1)]
            reasons = "".join(f" ({next(name for name in whole if whole[name] == why)} {why})" for why in common)
            raise BenchError(
                f"{type(model).__name__}: has no unit that could be pruned{reasons}; use another model or granularity"
            )
        # Why the multiply-accumulates are not known, empty where they are.
        self._uncounted = f"{type(model).__name__}: its MACs cannot be counted, for {uncounted}" if uncounted else ""
        if cost_kind == "macs":
            self._need_macs()
        self.cost_kind = cost_kind
        self.groups = groups
        self.sizes = [group.size for group in groups]
        ends = np.cumsum(self.sizes).tolist()
        self.offsets = {group.name: slice(end - group.size, end) for group, end in zip(groups, ends, strict=True)}
        self.n: int = ends[-1]
        self.shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        content = [self.granularity, [[g.name, g.size] for g in groups], sorted(self.shapes.items())]
        self.digest = hashlib.sha256(canonical_json(content)).hexdigest()

    @abstractmethod
    def cost(self, a: Tensor) -> Tensor:
        """Return the cost of `a` [n] as a scalar of its dtype: differentiable, exact at 0/1 points."""

    @abstractmethod
    def gate(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the effective parameters, differentiable in both arguments: what `run` runs with.

        They are the whole gating except in a `BlockSpace` whose blocks are layers. Other tensors come back as they are.
        """

    def run(self, model: nn.Module, tensors: Mapping[str, Tensor], a: Tensor, *inputs: Any) -> Any:
        """Return what `model` computes with the parameters and buffers `tensors`, its units gated by `a` [n].

        Differentiable in both; what is not named in `tensors` is the model's own.
        """
        return run(model, self.gate(tensors, a), *inputs)

    @abstractmethod
    def shrink(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return what `mask` [n] bool keeps of every entry of a full-size state dict."""

    @abstractmethod
    def restore(self, kept: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the full-size state dict of what `shrink` kept, zero elsewhere."""

    @abstractmethod
    def _exact(self, kind: str, a: Tensor) -> int:
        """Return the cost of the given kind of the 0/1 vector `a` [n]."""

    @abstractmethod
    def weight_masks(self, mask: Tensor) -> dict[str, Tensor]:
        """Return what holds the extracted network's pruned weights at zero while it trains, by parameter name.

        Entries are 0 or 1 in the parameter's shape; empty where pruned units are gone from the network.
        """

    @abstractmethod
    def embed(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return an extracted network's state dict at the large model's size, zero where `mask` [n] keeps nothing."""

    @abstractmethod
    def changes(self, mask: Tensor) -> list[dict[str, Any]]:
        """Return what extraction changes in the modules, as JSON for `benchmark.models.loader.apply_changes`."""

    @abstractmethod
    def _required(self, scores: Tensor) -> Tensor:
        """Return the units [n] bool that every architecture ranked by `scores` keeps."""

    @abstractmethod
    def _prefix(self, required: Tensor, order: Tensor, limit: int) -> int:
        """Return the longest k for which `required` with the units order[:k] costs at most `limit`."""

    @abstractmethod
    def _extract(self, model: nn.Module, mask: Tensor) -> nn.Module:
        """Return a copy of `model` that holds the units of `mask` [n] bool only."""

    @property
    def alike(self) -> list[slice]:
        """The ranges of units that cost the same, one more of them added to an architecture: those of a group."""
        return list(self.offsets.values())

    def tensors(self, mask: Tensor) -> list[str]:  # noqa: ARG002 - mostly all of them stay, however small
        """Return the names of the parameters and buffers of the network that `mask` [n] leaves."""
        return list(self.shapes)

    def flatten(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the flat vector [n] of per-group values (a group's tensor may have any shape)."""
        return torch.cat([values[group.name].reshape(-1) for group in self.groups])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Return per-group views [size] of a flat vector [n]."""
        return dict(zip(self.offsets, flat.split(self.sizes), strict=True))

    def params(self, a: Tensor) -> int:
        """Return the exact number of parameters of the 0/1 vector `a` [n]."""
        return self._exact("params", a)

    def macs(self, a: Tensor) -> int:
        """Return the exact multiply-accumulates of the 0/1 vector `a` [n], for one input; `BenchError` if unknown."""
        self._need_macs()
        return self._exact("macs", a)

    def _need_macs(self) -> None:
        if self._uncounted:
            raise BenchError(f"{self._uncounted}; write it with convolutions, linear layers and products of tensors")

    def exact_cost(self, a: Tensor) -> int:
        """Return params, macs or memory of the 0/1 vector `a`, whichever budgets are shares of."""
        return self._exact(self.cost_kind, a)

    @cached_property
    def total(self) -> int:
        """Return the cost of the large model."""
        return self.exact_cost(torch.ones(self.n, dtype=torch.bool))

    @cached_property
    def minimum(self) -> float:
        """Return the smallest complexity an architecture can have: one unit per group, still connected."""
        return self.exact_cost(self._required(torch.zeros(self.n))) / self.total

    def complexity(self, a: Tensor) -> float:
        """Return the share of the large model's cost that the 0/1 vector `a` [n] needs, in (0, 1]."""
        return self.exact_cost(a) / self.total

    def limit(self, budget: float) -> int:
        """Return the largest cost whose complexity is at most `budget`; `BenchError` below the minimum."""
        if not 0 < budget <= 1:
            raise BenchError(f"budget {budget}: expected a share in (0, 1]")
        limit = math.floor(budget * self.total)
        limit += (limit + 1) / self.total <= budget
        limit -= limit / self.total > budget
        if limit / self.total < self.minimum:
            raise BenchError(
                f"budget {budget:g}: below the smallest {self.granularity} architecture, "
                f"{self.minimum:.6f} of the {self.cost_kind}; ask for at least {math.ceil(self.minimum * 1e4) / 1e4:g}"
            )
        return limit

    def project(self, scores: Tensor, budget: float) -> Tensor:
        """Return the mask [n] bool of the highest `scores` [n] whose extracted cost fits the budget.

        First come the units no architecture can lack (channel: the best of each group; weight: a
        connected path from input to output), then the longest run of the others in descending score
        (equal scores: lower index first) whose cost is at most `budget` times the total. So the budget
        is met from below: the next unit in the order would exceed it. -inf marks units to take last.

        Raises `BenchError` when the budget is below `minimum` or a score is NaN.
        """
        limit = self.limit(budget)
        if scores.shape != (self.n,):
            raise BenchError(f"scores: shape {list(scores.shape)}, expected [{self.n}], one score per unit")
        ranked = scores.detach().to("cpu", torch.float64)
        if bool(ranked.isnan().any()):
            raise BenchError(f"scores: {int(ranked.isnan().sum())} of {self.n} are NaN; lower the learning rate")
        mask = self._required(ranked)
        order = torch.sort(ranked, descending=True, stable=True).indices
        order = order[~mask[order]]
        mask[order[: self._prefix(mask, order, limit)]] = True
        return mask.to(scores.device)

    def architecture(self, mask: Tensor, meta: Mapping[str, Any] | None = None) -> Architecture:
        """Return the architecture of `mask` [n] bool.

        Its metadata are `meta` plus what the space knows: digest, cost kind, complexity, params, macs (None
        where nobody knows them).
        Raises `BenchError` when a group would be empty.
        """
        kept = mask.detach().to("cpu", torch.bool)
        masks = {name: part.clone() for name, part in self.unflatten(kept).items()}
        for name, part in masks.items():
            if not bool(part.any()):
                raise BenchError(f"architecture: group {name} keeps no unit; keep at least one of its {part.numel()}")
        known = {
            "space": self.digest,
            "cost": self.cost_kind,
            "complexity": self.complexity(kept),
            "params": self.params(kept),
            "macs": None if self._uncounted else self.macs(kept),
        }
        return Architecture(self.granularity, masks, {**(meta or {}), **known})

    def mask(self, architecture: Architecture) -> Tensor:
        """Return the mask [n] bool of `architecture`; `BenchError` when it was made for another model."""
        if architecture.granularity != self.granularity:
            raise BenchError(
                f"architecture: has {architecture.granularity} units, this search space {self.granularity} units; "
                f"build the space with granularity {architecture.granularity!r}"
            )
        expected = {group.name: group.size for group in self.groups}
        for name in [*expected, *architecture.masks]:
            if expected.get(name) != architecture.sizes.get(name):
                here, there = expected.get(name, 0), architecture.sizes.get(name, 0)
                raise BenchError(
                    f"architecture: made for another model (group {name}: {there} units there, {here} here); "
                    "build the model its metadata name"
                )
        if architecture.meta.get("space", self.digest) != self.digest:
            raise BenchError(
                "architecture: made for another model (same groups, other parameter shapes); "
                "build the model its metadata name"
            )
        return self.flatten(architecture.masks).to(torch.bool)

    def extract(self, model: nn.Module, architecture: Architecture) -> nn.Module:
        """Return the sub-network of `model` with the kept units and their weights; `model` is untouched.

        Channel and block units are removed physically, weight units set to zero. Outputs, running statistics and
        gradients on what is kept are those of the gated `model`. Raises `BenchError` when the
        architecture or `model` does not belong to this space.
        """
        mask = self.mask(architecture)
        for name, tensor in model.state_dict().items():
            if tuple(tensor.shape) != self.shapes.get(name):
                raise BenchError(
                    f"model: {name} has shape {list(tensor.shape)}, the search space expects "
                    f"{list(self.shapes.get(name, ()))}; use the model the space was built from"
                )
        return self._extract(model, mask)
