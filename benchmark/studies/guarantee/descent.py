"""The update of the two-temperature relaxation on a convex objective, many runs at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.dap.relaxation import gates, slope
from benchmark.studies.guarantee.problems import DOUBLE, Problem

MIDDLE = 0.0  # the logit of the first iterate, a = 1/2


@dataclass(frozen=True)
class Course:
    """What was seen up to and with step T, for every T of `marks`; all but `marks` are [runs, marks].

    `average` is the mean of J(a_1), ..., J(a_T), `of_mean` is J at the mean of these a, `last` is J(a_{T+1}), `squares`
    the mean of the squared gradients, `largest` their largest entry, `farthest` the largest logit, that after step T
    included, `rise` the largest increase of J from one iterate to the next. `mean` [runs, n] is the mean of all a.
    """

    marks: list[int]
    average: Tensor
    of_mean: Tensor
    last: Tensor
    squares: Tensor
    largest: Tensor
    farthest: Tensor
    rise: Tensor
    mean: Tensor


def relative_slope(logits: Tensor, ratios: Tensor) -> Tensor:
    """Return the backward slope over its largest value, in (0, 1]; logits in units of the forward temperature.

    `ratios` are tau_lo / tau_hi, one for each run; at 0 the slope is constant.
    """
    high = 1 / ratios.clamp(min=1e-12)[:, None]
    return torch.where(ratios[:, None] > 0, 4 * high * slope(logits, high), torch.ones_like(logits))  # type: ignore[arg-type]


def descend(
    problem: Problem,
    steps: Sequence[float],
    ratios: Sequence[float],
    marks: Sequence[int],
    batch: int | None = None,
    generator: torch.Generator | None = None,
) -> Course:
    """Run the update from the middle of the cube to the last of `marks`, one run for each of `steps` and `ratios`.

    `steps` are eta / tau_lo. With `batch`, every step of every run draws that many rows with replacement; otherwise
    gradients are full.
    """
    eta, alpha = torch.tensor(steps, dtype=DOUBLE)[:, None], torch.tensor(ratios, dtype=DOUBLE)
    logits = torch.full((len(steps), problem.units), MIDDLE, dtype=DOUBLE)
    total, path = torch.zeros(len(steps), dtype=DOUBLE), torch.zeros_like(logits)
    squares, largest, farthest = torch.zeros_like(total), torch.zeros_like(total), torch.zeros_like(total)
    rise = torch.full_like(total, -torch.inf)
    before: Tensor | None = None
    seen: list[list[Tensor]] = []
    for step in range(1, max(marks) + 1):
        now = gates(logits, 1.0)
        if batch is None:
            value, gradient = problem.value_and_gradient(now)
        else:
            value = problem.value(now)
            chosen = torch.randint(len(problem.rows), (len(steps), batch), generator=generator)
            gradient = problem.batch_gradient(now, chosen)
        if before is not None:
            rise = torch.maximum(rise, value - before)
        before = value
        total += value
        path += now
        squares += gradient.square().sum(1)
        largest = torch.maximum(largest, gradient.abs().amax(1))
        logits = logits - eta * relative_slope(logits, alpha) * gradient
        farthest = torch.maximum(farthest, logits.abs().amax(1))
        if step in marks:
            after = problem.value(gates(logits, 1.0))
            higher = torch.maximum(rise, after - value)
            of_mean = problem.value(path / step)
            seen.append([total / step, of_mean, after, squares / step, largest, farthest, higher])
    average, of_mean, last, *others = [torch.stack(column, 1) for column in zip(*seen, strict=True)]
    squares_seen, largest_seen, farthest_seen, rises = others
    mean = path / max(marks)
    return Course(sorted(marks), average, of_mean, last, squares_seen, largest_seen, farthest_seen, rises, mean)
