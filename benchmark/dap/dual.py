"""The multiplier that holds the complexity below a budget that falls along the search."""

import math
from dataclasses import dataclass


@dataclass
class DualAscent:
    """Augmented-Lagrangian ascent on the constraint log C(a) <= log b.

    The constraint is taken in logarithms: it has the same feasible set as C(a) <= b, and an excess of a tenth weighs
    the same at a budget of 50 % and of 1 %. `rate` moves the multiplier, `damping` adds to it in proportion to the
    present excess, which keeps the complexity from swinging around the budget.
    """

    rate: float
    damping: float
    multiplier: float = 0.0

    def weight(self, complexity: float, budget: float) -> float:
        """Return the weight of the complexity's gradient at this step, and move the multiplier."""
        excess = math.log(complexity / budget)
        self.multiplier = max(0.0, self.multiplier + self.rate * excess)
        return max(0.0, self.multiplier + self.damping * excess)


def falling_budget(step: int, steps: int, lowest: float, hold: float) -> float:
    """Return the budget of a step: from 1 to `lowest` geometrically, then held for the last `hold` of the steps."""
    falling = max(1, round(steps * (1 - hold)))
    return lowest ** min(1.0, (step + 1) / falling)
