"""Weight units: an architecture zeroes single weights of convolutions and linear layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.models.copying import copied
from benchmark.space.base import Group, SearchSpace
from benchmark.space.graph.dependencies import DependencyGraph, trace
from benchmark.space.surgery.connected_path import Skeleton


class WeightSpace(SearchSpace):
    """Units are the entries of every weight that multiplies activations: convolutions, linear layers, the classifier.

    A group is one weight tensor, named as in the state dict, flattened. Parameters cost: kept
    weights plus all other parameters (biases, batch norm). MACs: kept weights times the positions they
    are applied to, plus the products of activations with each other and with kernels that are buffers.
    """

    granularity = "weight"

    def __init__(self, model: nn.Module, example_input: Tensor, cost_kind: str = "params") -> None:
        if cost_kind == "memory":
            raise BenchError(
                "cost: memory does not depend on single weights, whose zeros leave every activation in place; "
                "use granularity channel, block or block+channel, or cost params or macs"
            )
        graph = trace(model, example_input)
        parameters = dict(model.named_parameters())
        multiplied = {product.tensor for product in graph.weighted}
        weights = {name: weight for name, weight in parameters.items() if name in multiplied}
        groups = tuple(Group(name, weight.numel()) for name, weight in weights.items())
        super().__init__(model, groups, cost_kind, uncounted=graph.uncounted)
        self._weight_shapes = {name: weight.shape for name, weight in weights.items()}
        self._others = sum(p.numel() for name, p in parameters.items() if name not in weights)
        self._times = _times(graph, self._weight_shapes)
        fixed = sum(product.macs for product in graph.weighted if product.tensor not in weights)
        self._products = int(graph.products.sum()) + fixed
        self._skeleton = Skeleton(graph, self._weight_shapes)

    def shrink(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the kept entries of each weight tensor in one dimension, and all other entries whole."""
        parts = self.unflatten(mask)
        return {n: tensor.reshape(-1)[parts[n]] if n in parts else tensor for n, tensor in state.items()}

    def restore(self, kept: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """Return the full-size state dict of what `shrink` kept, zero elsewhere."""
        full = dict(kept)
        for name, part in self.unflatten(mask).items():
            full[name] = kept[name].new_zeros(part.shape)
            full[name][part] = kept[name]
            full[name] = full[name].view(self._weight_shapes[name])
        return full

    def _exact(self, kind: str, a: Tensor) -> int:
        if kind == "params":
            return int(torch.count_nonzero(a)) + self._others
        kept = (
            times * (part != 0) for times, part in zip(self._times, a.detach().cpu().split(self.sizes), strict=True)
        )
        return sum(int(part.sum()) for part in kept) + self._products

    def cost(self, a: Tensor) -> Tensor:
        """Return the cost of `a` [n]: linear in the kept weights, exact at 0/1 points."""
        if self.cost_kind == "params":
            return (a.sum(dtype=torch.float64) + self._others).to(a.dtype)
        parts = zip(self._times, a.double().split(self.sizes), strict=True)
        return (torch.stack([(times.to(a.device) * part).sum() for times, part in parts]).sum() + self._products).to(
            a.dtype
        )

    def gate(self, parameters: Mapping[str, Tensor], a: Tensor) -> dict[str, Tensor]:
        """Return the parameters with every weight multiplied by its entry of `a`."""
        gated = dict(parameters)
        for (name, shape), part in zip(self._weight_shapes.items(), a.split(self.sizes), strict=True):
            gated[name] = gated[name] * part.view(shape)
        return gated

    def weight_masks(self, mask: Tensor) -> dict[str, Tensor]:
        """Return the 0/1 factors of every weight tensor, in its shape, as floats."""
        parts = mask.float().split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self._weight_shapes.items(), parts, strict=True)}

    def changes(self, mask: Tensor) -> list[dict[str, Any]]:  # noqa: ARG002 - only zeros come in
        """Return nothing: the modules of the extracted network are the large model's."""
        return []

    def embed(self, state: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - kept its size
        """Return the state as it is: the extracted network has the large model's size."""
        return dict(state)

    def _required(self, scores: Tensor) -> Tensor:
        return self.flatten(self._skeleton.choose(self.unflatten(scores)))

    def _prefix(self, required: Tensor, order: Tensor, limit: int) -> int:
        per_unit = np.ones(self.n, dtype=np.int64)
        if self.cost_kind == "macs":
            per_unit = torch.cat(
                [times.expand(size) for times, size in zip(self._times, self.sizes, strict=True)]
            ).numpy()
        spent = np.cumsum(per_unit[order.numpy()]) + self.exact_cost(required)
        return int(np.searchsorted(spent, limit, side="right"))

    @torch.no_grad()
    def _extract(self, model: nn.Module, mask: Tensor) -> nn.Module:
        copy = copied(model)
        parameters = dict(copy.named_parameters())
        for (name, shape), part in zip(self._weight_shapes.items(), mask.split(self.sizes), strict=True):
            parameters[name].mul_(part.view(shape).to(parameters[name].device))
        return copy


def _times(graph: DependencyGraph, shapes: Mapping[str, torch.Size]) -> list[Tensor]:
    """Return how often each weight tensor is applied to one input: one number [1], or one per entry [size]."""
    times = {name: torch.zeros(1, dtype=torch.int64) for name in shapes}
    for product in [one for one in graph.weighted if one.tensor in shapes]:
        part = torch.zeros(product.shape, dtype=torch.int64)
        part[product.part] = product.times
        whole = bool((part == product.times).all())
        times[product.tensor] = times[product.tensor] + (product.times if whole else part.view(-1))
    return list(times.values())
