"""The same number of channels in every layer: a rule without a search."""

import torch

from benchmark.config.params import Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner


class Flat(Pruner):
    """Every group keeps the same number of channels, capped at its size; nothing is searched or trained.

    With `last_half` the last group keeps at least half of its channels first (`flat+last`). Ours: a control for
    searches over widths. Of equal numbers of channels the earlier group is filled first, so that every budget is met
    exactly.
    """

    name = "flat"
    label = "flat"
    color = "#6A3D9A"
    marker = "H"
    reference = "ours: equal widths"
    granularities = ("channel",)
    seeded = False
    nested = True

    class Parameters(Section):
        """`last_half`: the last group keeps half of its channels before the others share what is left."""

        last_half: bool = False

    examples = ({"last_half": True},)

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures without weights of their own."""
        groups = problem.space.groups
        # Unit k of every group comes before unit k + 1 of any: what is kept is a prefix of all groups alike.
        ranks = [torch.arange(group.size, dtype=torch.float64) for group in groups]
        if self.parameters.last_half:
            ranks[-1][: -(-groups[-1].size // 2)] = -1.0
        places = torch.cat([rank + place / (2 * len(groups)) for place, rank in enumerate(ranks)])
        return problem.project(-places)
