"""Operators that read a weight, and of which nobody knows how much they multiply."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from benchmark.space.graph.multiplications import counted
from benchmark.space.graph.operators import FREE, spatial_dims


class Uncounted:
    """Follows one run of `model` on `image`; `fault` says which operator's multiply-accumulates are missing, if any.

    A weight is a parameter, a buffer of two or more dimensions, or what is computed from those alone.
    """

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.fault = ""
        buffers = [(name, buffer) for name, buffer in model.named_buffers() if buffer.dim() > 1]
        # By memory, so that views of a parameter are found.
        self._weights = {
            tensor.untyped_storage().data_ptr(): name
            for name, tensor in [*model.named_parameters(), *buffers]
            if tensor.is_floating_point() and tensor.layout == torch.strided and tensor.numel()
        }
        self._computed = WeakIdKeyDictionary()
        self._live = WeakIdKeyDictionary()
        self._live[image] = True

    def follow(self, func: Any, name: str, named: dict[str, Any], given: list[Tensor], made: Iterable[Tensor]) -> None:
        """Note an operator that ran: its arguments by name, the tensors among them, and its results."""
        weights = [weight for weight in map(self._weight, given) if weight]
        if weights and not self.fault and not _free(func, name) and not counted(name, named):
            self.fault = f"the operator {name} reads {weights[0]}, and how much it multiplies is not known"
        live = any(one in self._live for one in given)
        for result in made:
            if live:
                self._live[result] = True
            elif weights:
                self._computed[result] = weights[0]

    def _weight(self, tensor: Tensor) -> str:
        """The weight that a tensor is or comes from, empty if from none."""
        if tensor in self._live or not tensor.is_floating_point() or tensor.layout != torch.strided:
            return ""
        computed: str = self._computed.get(tensor, "")
        return computed or self._weights.get(tensor.untyped_storage().data_ptr(), "")


def _free(func: Any, name: str) -> bool:
    return torch.Tag.pointwise in func.tags or name in FREE or spatial_dims(name) > 0
