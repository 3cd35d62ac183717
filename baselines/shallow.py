"""Equal widths in fewer layers: a rule without a search."""

from typing import Literal, Self

import torch
from pydantic import model_validator

from benchmark.config.params import Count, Positive, Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.rules import block_groups, equal_widths


class Shallow(Pruner):
    """Leave out blocks from the output side of each stage, and keep equal numbers or shares of channels in every layer.

    By default depth falls with width: where every layer keeps a share t of the widest layer's channels (capped at its
    own), every stage keeps t^`exponent` of its blocks. With `blocks` given, every stage keeps that many at all budgets.
    Ours: a control for searches over depth, and with `flat` inside also for those over both. Of equal shares the later
    stage loses its block first, and the other units follow one by one, so that every budget is met exactly.
    """

    name = "shallow"
    reference = "ours: fewer layers of equal widths"
    label = "shallow"
    color = "#B15928"
    marker = "h"
    granularities = ("block", "block+channel")
    seeded = False
    nested = True

    class Parameters(Section):
        """`blocks` kept per stage (None: as many as the budget says, by `exponent`); `last_half` as in `flat`.

        `widths`: `equal` numbers of channels in every layer, as in `flat`, or the same share of each, as in `uniform`.
        """

        blocks: Count | None = None
        exponent: Positive = 1.0
        last_half: bool = False
        widths: Literal["equal", "uniform"] = "equal"

        @model_validator(mode="after")
        def _one_rule(self) -> Self:
            if self.last_half and self.widths == "uniform":
                raise ValueError("last_half is a rule for widths: equal; leave one of the two out")
            return self

    examples = ({"blocks": 1}, {"last_half": True}, {"exponent": 0.5}, {"blocks": 1, "widths": "uniform"})

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures without weights of their own."""
        space, p = problem.space, self.parameters
        stages = space.sizes[: block_groups(space)]
        widths = equal_widths(space, p.last_half)
        widest = max((len(places) for places in widths), default=1)
        if p.widths == "uniform":
            widths = [place * widest / len(place) for place in widths]
        places = []
        for stage, size in enumerate(stages):
            place = torch.arange(size, dtype=torch.float64)
            if p.blocks is None:
                # A block is kept once the channels' share t, raised to the exponent, passes its share of the stage.
                share = (place / size) ** (1 / p.exponent)
                places.append(share * widest + (stage - len(stages)) * 1e-6)
            else:
                first = place < p.blocks
                places.append(torch.where(first, -2.0, float(widest) + 1) + place + stage / (2 * len(stages)))
        return problem.project(-torch.cat([*places, *widths]))
