"""The constants of the theorems in docs/guarantee.md.

All lengths are in units of the forward temperature: a step is eta / tau_lo, a logit theta / tau_lo. The guarantee
depends on the temperatures only through `ratio` = tau_lo / tau_hi: 0 is a constant backward slope, 1 one temperature.
"""

import math
from dataclasses import dataclass, replace

from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.special import digamma

LN2 = math.log(2)


def mirror(logit: float, ratio: float) -> float:
    """Return the mirror coordinate of a logit: the integral of one over the relative backward slope, from 0."""
    return logit if ratio == 0 else logit / 2 + math.sinh(ratio * logit) / (2 * ratio)


def reach(travelled: float, ratio: float) -> float:
    """Return the largest logit whose mirror coordinate is at most `travelled`."""
    if ratio == 0 or travelled == 0:
        return travelled
    # Each part of the mirror coordinate alone is smaller than the whole.
    highest = min(2 * travelled, math.asinh(2 * ratio * travelled) / ratio)
    return float(brentq(lambda logit: mirror(logit, ratio) - travelled, 0.0, highest * (1 + 1e-9), xtol=1e-12))


def diameter(ratio: float, farthest: float = math.inf) -> float:
    """Return d, how far a corner is from the middle in the mirror map's divergence, per unit.

    `farthest` bounds the logits that are visited; without it the result is infinite at one temperature.
    """
    if ratio == 0:
        return LN2
    if math.isinf(farthest):
        if ratio >= 1:
            return math.inf
        return LN2 / 2 + (_alternating(1 - ratio) + _alternating(1 + ratio)) / 4
    inside, _ = quad(lambda y: _squared_cosh(ratio, y) / (1 + math.exp(-y)), 0.0, farthest, limit=500)
    # exp(R) ln(1 + exp(-R)) is at most 1, and 1 in double precision where exp(R) grows too large.
    tail = math.exp(farthest) * math.log1p(math.exp(-farthest)) if farthest < 30 else 1.0
    return float(inside + _squared_cosh(ratio, farthest) * tail)


def curvature(ratio: float) -> float:
    """Return m, how much the backward slope adds to a step: 1 at a constant slope, 27/16 at one temperature."""
    steep = 2 - ratio
    t = 2 * ratio / (steep + math.sqrt(steep**2 - 8 * ratio * (1 - 2 * ratio)))
    return (1 - t) * (1 + t) ** 2 * (1 - (1 - 2 * ratio) * t)


@dataclass(frozen=True)
class Setting:
    """What the bound on the average gap depends on.

    `units` is n; `step` is eta / tau_lo; `ratio` is tau_lo / tau_hi; `size` bounds the root of the gradients' mean
    squared length, `largest` every entry of every gradient.
    """

    units: int
    step: float
    ratio: float
    size: float
    largest: float

    def farthest(self, steps: int) -> float:
        """Return a bound, known beforehand, of the logits after that many steps."""
        unevenness = self.step * self.largest * self.ratio
        # Beyond this the exponential is of no use, and neither is the bound.
        return reach(steps * math.exp(min(unevenness, 500.0)) * self.step * self.largest, self.ratio)

    def bound(self, steps: int, farthest: float | None = None) -> float:
        """Return what the average gap over that many steps cannot exceed in expectation.

        `farthest` bounds the visited logits, the one after the last step included; default: what is known beforehand.
        """
        unevenness = self.step * self.largest * self.ratio
        if unevenness > 100:
            return math.inf
        far = self.farthest(steps) if farthest is None else farthest
        start = self.units * diameter(self.ratio, far) / (self.step * steps)
        return start + math.exp(2 * unevenness) * curvature(self.ratio) * self.step * self.size**2 / 8


def best_step(units: int, ratio: float, size: float, largest: float, steps: int) -> float:
    """Return the step that makes the bound after that many steps smallest."""
    classical = math.sqrt(8 * units * LN2 / steps) / size
    if ratio == 0:
        return classical
    setting = Setting(units, classical, ratio, size, largest)
    found = minimize_scalar(
        lambda log: math.log(replace(setting, step=math.exp(log)).bound(steps)),
        bounds=(math.log(classical) - 5, math.log(classical) + 3),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return math.exp(float(found.x))


def smooth_bound(units: int, step: float, steps: int) -> float:
    """Return what the gap after that many steps cannot exceed, at a constant slope and full gradients of a smooth J.

    It holds for steps of at most `smooth_step`.
    """
    return units * LN2 / (step * steps)


def smooth_step(smoothness: float) -> float:
    """Return the longest step for `smooth_bound`; `smoothness` bounds the second derivatives of J."""
    return 4 / smoothness


def _squared_cosh(ratio: float, y: float) -> float:
    """exp(-y) cosh^2(ratio y / 2), without an overflow."""
    return (math.exp((ratio - 1) * y) + 2 * math.exp(-y) + math.exp(-(ratio + 1) * y)) / 4


def _alternating(x: float) -> float:
    """The sum of (-1)^k / (x + k)."""
    return float(digamma((x + 1) / 2) - digamma(x / 2)) / 2
