"""Gates of one channel: what scales all channels of a map alike, and so goes with none of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.space.graph.index_sets import NONE, IndexSets


def gates(tensors: Sequence[Tensor], labels: Sequence[Tensor], index_sets: IndexSets) -> list[bool]:
    """Tell which of several tensors that meet element by element are gates of one channel.

    Such a tensor carries one index set throughout, and is spread (broadcast, expanded, or repeated where its layer
    makes no other channel) over channels of another one. Whichever of these are cut, it stays as it is.
    """
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    found = []
    for place, (tensor, label) in enumerate(zip(tensors, labels, strict=True)):
        axes = _spread(tensor, shape, label, index_sets)
        others = [label for other, label in enumerate(labels) if other != place]
        found.append(bool(axes) and any(varies(label.expand(shape), axes) for label in others))
    return found


def varies(label: Tensor, axes: Sequence[int]) -> bool:
    """Tell whether more than one index set lies along some of these axes."""
    highest = label.amax(tuple(axes), keepdim=True)
    return bool(((label != highest) & (label != NONE)).any())


def _spread(tensor: Tensor, shape: Sequence[int], label: Tensor, index_sets: IndexSets) -> list[int]:
    """The axes over which a tensor of one index set is spread; none where it carries several."""
    view = tensor.expand(shape)
    axes = [axis for axis, size in enumerate(shape) if size > 1 and view.stride(axis) == 0]
    if not axes and label.numel() and not index_sets.alone(int(label.flatten()[0])):
        return []
    index_set = int(label.max()) if label.numel() else NONE
    if index_set == NONE or index_sets.is_element(index_set) or bool((label != index_set).any()):
        return []
    if index_sets.alone(index_set):
        return list(range(len(shape)))
    # A mean over channels is one channel too, but it comes from all of them and goes with them.
    return [] if index_sets.mixture(index_set) else axes
