"""The same number of channels in every layer: a rule without a search."""

import torch

from benchmark.config.params import Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.rules import equal_widths


class Flat(Pruner):
    """Every group keeps the same number of channels, capped at its size; nothing is searched or trained.

    With `last_half` the last group keeps at least half of its channels first (`flat+last`). Ours: a control for
    searches over widths. Of equal numbers of channels the earlier group is filled first, so that every budget is met
    exactly. No block is left out: see `shallow` for the same rule in fewer layers.
    """

    name = "flat"
    label = "flat"
    color = "#6A3D9A"
    marker = "H"
    reference = "ours: equal widths"
    granularities = ("channel", "block+channel")
    seeded = False
    nested = True

    class Parameters(Section):
        """`last_half`: the last group keeps half of its channels before the others share what is left."""

        last_half: bool = False

    examples = ({"last_half": True},)

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures without weights of their own."""
        places = torch.cat(equal_widths(problem.space, self.parameters.last_half))
        blocks = torch.full((problem.space.n - len(places),), 2.0, dtype=torch.float64)
        return problem.project(torch.cat([blocks, -places]))
