"""The price of complexity that follows a falling budget."""

from dataclasses import dataclass

from benchmark.dap.cost_weight import CostWeight, falling_budget


@dataclass
class FallingPrice:
    """A price by the law of `weights` on a budget that goes from `start` to `end` geometrically, and is then held.

    It is held for the last `hold` of the steps.
    """

    weights: CostWeight
    end: float
    start: float = 1.0
    hold: float = 0.1

    def __call__(self, complexity: float, step: int, steps: int) -> float:
        """Return the price at a step with this complexity, and move what the law remembers."""
        allowed = self.start * falling_budget(step, steps, self.end / self.start, self.hold)
        return self.weights.weight(complexity, allowed, (step + 1) / steps)
