"""The surroundings of a budget: the large model cut to a few times the budget's cost, at equal shares of all widths."""

from dataclasses import replace

import torch
from torch import Tensor

from benchmark.dap.units import ladder
from benchmark.pruning.problem import Problem
from benchmark.space import build_space


class Nearby:
    """A problem near a budget of another one, whose widths are to be traded there.

    `start` bool [n] are the units of the large model that it starts from: the blocks `on` (bool [blocks]; None: all)
    and equal shares of all widths, at `times` the budget's cost or, where they cost less, whole. `problem` has the
    channels of that network as its units, and one budget of the same cost; `fits` says that this is all of the network.
    """

    def __init__(self, large: Problem, budget: float, on: Tensor | None, times: float) -> None:
        space = large.space
        self.large, self.budget = large, budget
        self.on = torch.ones(len(space.blocks), dtype=torch.bool) if on is None else on
        whole = torch.ones(space.n, dtype=torch.bool)
        whole[: len(self.on)] = self.on
        fits = space.complexity(whole) <= times * budget
        self.start = whole if fits else space.project(self._scores(ladder(space)), times * budget)
        self.problem = self._cut()
        self.fits = self.problem.budgets[0] >= 1

    def _cut(self) -> Problem:
        large = self.large
        large.network.load_state_dict(large.draw(0))
        network = large.space.extract(large.network, large.space.architecture(self.start, {}))
        example = large.train.normalise(large.train.pixels(torch.zeros(1, dtype=torch.long, device=large.device)))
        space = build_space(network, example, "channel", large.space.cost_kind)
        budget = self.budget * large.space.total / space.total
        return replace(large, space=space, network=network, budgets=(budget,), flops=0, trace=[])

    def mask(self, moves: Tensor, length: float) -> Tensor:
        """Return the large model's mask [n] at the budget whose widths went `length` times the way `moves`.

        `moves` [widths] are changes of the logarithms of widths, one for each group of the nearby space. At length 0
        all widths are equal shares of the large model's.
        """
        space = self.large.space
        logits = ladder(space)
        for name, move in zip(self.problem.space.offsets, moves.tolist(), strict=True):
            logits[space.offsets[name]] += length * move
        return space.project(self.large.apply_inversion(self._scores(logits)), self.budget)

    def _scores(self, logits: Tensor) -> Tensor:
        """The logits [n] with the blocks that are on before everything, and the others after."""
        return torch.cat([torch.where(self.on, torch.inf, -torch.inf), logits[len(self.on) :]])

    def hand_over(self) -> None:
        """Charge what was done nearby to the large problem, and put its trace behind that of the searches before."""
        self.large.flops += self.problem.flops
        first = len(self.large.trace)
        self.large.trace += [{**point, "step": first + point["step"]} for point in self.problem.trace]
