"""Copies of networks, also of those that keep tensors with a history: PyTorch itself refuses to copy these."""

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from benchmark.errors import BenchError

NOTHING: Mapping[int, Any] = MappingProxyType({})


def copied(network: nn.Module, known: Mapping[int, Any] = NOTHING) -> Any:
    """Return a copy of a network, and instead of the objects whose `id` is in `known` what stands there.

    Of weights computed from parameters (weight norm, masks of `torch.nn.utils.prune`) and of features kept from a
    training step the copy has the values, without their history; the former are computed anew in every run. Raises
    `BenchError` for a network that keeps what cannot be copied, such as an open file.
    """
    memo = dict(known)
    for module in network.modules():
        for tensor in tree_leaves(vars(module)):
            if isinstance(tensor, Tensor) and not tensor.is_leaf:
                memo.setdefault(id(tensor), tensor.detach().clone())
    try:
        return deepcopy(network, memo)
    except TypeError as error:
        raise BenchError(
            f"{type(network).__name__}: keeps what cannot be copied ({error}); keep locks and open files elsewhere"
        ) from error
