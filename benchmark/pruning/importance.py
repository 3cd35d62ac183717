"""From scores to allocations: how a ranking of units is spread over the groups."""

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.space import BlockSpace, ChannelSpace, SearchSpace


def ranks(space: SearchSpace, scores: Tensor) -> Tensor:
    """Return each unit's rank within its group as a share in (0, 1]: 1 for the group's highest score.

    Keeping the highest of these keeps, up to rounding, the same share of every group. Ties go to the lower index.
    """
    result = torch.empty(space.n, dtype=torch.float64)
    for group in space.groups:
        part = space.offsets[group.name]
        order = torch.argsort(scores[part].cpu().double(), descending=True, stable=True)
        share = torch.arange(group.size, 0, -1, dtype=torch.float64) / group.size
        result[part][order] = share
    return result


def with_ratios(space: SearchSpace, scores: Tensor, ratios: Tensor) -> Tensor:
    """Return scores whose projection keeps group g's best units in proportion to `ratios[g]` (positive, [groups]).

    As the budget falls all groups shrink together; a group whose ratio asks for more than all its units keeps all.
    """
    within = ranks(space, scores)
    for ratio, group in zip(ratios.tolist(), space.groups, strict=True):
        part = space.offsets[group.name]
        within[part] = -(1 - within[part] + 1 / group.size) / ratio
    return within


def magnitude_importance(space: SearchSpace, state: Mapping[str, Tensor], norm: str, per_entry: bool = False) -> Tensor:
    """Return each unit's magnitude [n]: a weight's absolute value, or the norm (`l1`, `l2`) of a channel's filters.

    A channel that several coupled layers produce (a residual sum) takes the norm over all of its filters. A block's is
    the norm of its weights per filter, that is its filters' mean norm (`l1`, or the root of their mean square).

    `per_entry` divides by the number of entries, which makes units of different layers comparable: the mean absolute
    value (`l1`) or the root mean square (`l2`) of a channel's filters, or of a block's weights. A sum over entries
    ranks by filter size instead, which empties the layers of small filters. Single weights stay as they are.
    """
    if not isinstance(space, ChannelSpace | BlockSpace):
        return space.flatten({group.name: state[group.name].abs() for group in space.groups}).cpu().double()
    power = 1 if norm == "l1" else 2
    total = torch.zeros(space.n, dtype=torch.float64)
    entries = torch.ones(space.n, dtype=torch.float64)
    for place, block in enumerate(space.blocks):
        weights = [state[name].detach().cpu().double() for name in state if block.takes(name) and state[name].dim() > 1]
        norms = torch.cat([weight.flatten(1).abs().pow(power).sum(1) for weight in weights])
        total[place] = norms.mean()
        entries[place] = sum(weight.numel() for weight in weights) / len(norms)
    entries[len(space.blocks) :] = 0
    for name, dim in space.graph.producers:
        filters = state[name].detach().cpu().double().movedim(dim, 0).flatten(1)
        units = torch.from_numpy(space.graph.dims[name][dim])
        norms = filters.abs().pow(power).sum(1)
        made = len(space.blocks) + units[units >= 0]
        total.index_add_(0, made, norms[units >= 0])
        entries.index_add_(0, made, torch.full(made.shape, float(filters.shape[1]), dtype=torch.float64))
    return (total / entries.clamp(min=1) if per_entry else total).pow(1 / power)
