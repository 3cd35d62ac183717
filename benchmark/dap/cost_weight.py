"""How hard the complexity is pressed down at a step of the search."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class CostWeight(ABC):
    """Gives the weight of the complexity's gradient beside the loss's; `multiplier` is the price behind it."""

    multiplier: float

    @abstractmethod
    def weight(self, complexity: float, budget: float, share: float) -> float:
        """Return the weight at the present complexity and falling budget, after `share` (0, 1] of the search."""


@dataclass
class DualAscent(CostWeight):
    """Augmented-Lagrangian ascent on the constraint log C(a) <= log b.

    The constraint is taken in logarithms: it has the same feasible set as C(a) <= b, and an excess of a tenth weighs
    the same at a budget of 50 % and of 1 %. `rate` moves the multiplier, `damping` adds to it in proportion to the
    present excess, which keeps the complexity from swinging around the budget.
    """

    rate: float
    damping: float
    multiplier: float = 0.0

    def weight(self, complexity: float, budget: float, share: float) -> float:  # noqa: ARG002 - one interface
        """Return the weight, and move the multiplier."""
        excess = math.log(complexity / budget)
        self.multiplier = max(0.0, self.multiplier + self.rate * excess)
        return max(0.0, self.multiplier + self.damping * excess)


@dataclass
class Penalty(CostWeight):
    """A price that rises evenly from 0 to `highest` and looks at no budget: the path over lambda."""

    highest: float
    multiplier: float = 0.0

    def weight(self, complexity: float, budget: float, share: float) -> float:  # noqa: ARG002 - one interface
        """Return the price."""
        self.multiplier = self.highest * share
        return self.multiplier


def falling_budget(step: int, steps: int, lowest: float, hold: float) -> float:
    """Return the budget of a step: from 1 to `lowest` geometrically, then held for the last `hold` of the steps."""
    falling = max(1, round(steps * (1 - hold)))
    return lowest ** min(1.0, (step + 1) / falling)
