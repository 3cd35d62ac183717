"""The coupled channels of a network as torch-pruning's dependency graph has them, to compare ours with."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import Tensor, nn

Dims = dict[str, dict[int, list[int]]]
LAYERS = (nn.Conv2d, nn.Linear)


def couplings(model: nn.Module, example_input: Tensor) -> tuple[dict[str, int], Dims]:
    """Return the groups that some layer reads (name: size) and the unit behind each index of every governed dimension.

    For networks of ordinary and depthwise convolutions, batch norm, linear layers, sums, concatenations, flattening.
    """
    copy = deepcopy(model).requires_grad_(True)
    with torch.enable_grad():
        graph = tp.DependencyGraph().build_dependency(copy, [example_input], verbose=False)
    names = {layer: name for name, layer in copy.named_modules()}
    groups: dict[str, int] = {}
    dims: Dims = {}
    covered: dict[nn.Module, set[int]] = {}
    for name, layer in copy.named_modules():
        if not isinstance(layer, LAYERS):
            continue
        roots = [i for i in range(layer.weight.shape[0]) if i not in covered.get(layer, ())]
        if not roots:
            continue
        items = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, roots).items
        parts = [part for part in map(_part, items) if part]
        for other, reads, channels, _ in parts:
            if not reads:
                covered.setdefault(other, set()).update(channels)
        if any(reads for _, reads, _, _ in parts):
            start = sum(groups.values())
            groups[name] = len(roots)
            for other, reads, channels, members in parts:
                units = [start + roots.index(member) for member in members]
                for leaf, tensor in other.state_dict().items():
                    dim = 1 if reads else 0
                    if tensor.dim() > dim and (leaf == "weight" or not reads):
                        entry = dims.setdefault(f"{names[other]}.{leaf}", {})
                        found = np.asarray(entry.setdefault(dim, [-1] * tensor.shape[dim]))
                        found[channels] = units
                        entry[dim] = found.tolist()
    return groups, dims


def _part(item: Any) -> tuple[nn.Module, bool, list[int], list[int]] | None:
    """Return a layer, whether it reads there (or makes, or passes on), its channels, and their units' roots."""
    layer = item.dep.target.module
    if not isinstance(layer, (*LAYERS, nn.BatchNorm2d)):
        return None
    reads = item.dep.handler.__name__ == "prune_in_channels" and getattr(layer, "groups", 1) == 1
    return layer, reads, list(item.idxs), list(item.root_idxs)
