"""NSGA-II on vectors of integers: a population that spreads along the front of several objectives.

Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II. Crossover (simulated binary) and
mutation (polynomial) are those of real vectors, rounded. All draws come from one generator.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Variation:
    """How children differ from their parents: probability and index of crossover and, per entry, of mutation.

    The larger an index, the closer children stay.
    """

    crossover: float = 0.9
    crossover_index: float = 15.0
    mutation: float = 0.02
    mutation_index: float = 20.0


def evolve(
    objectives: Callable[[Tensor], Tensor],
    start: Tensor,
    top: Tensor,
    generations: int,
    generator: torch.Generator,
    variation: Variation = Variation(),
) -> Tensor:
    """Return the last population, int64 [P, d], of a search from `start` that minimises all `objectives`.

    Entry j lies in 0 ... `top[j]` (int64 [d]); `objectives` maps a population to values [P, k] in double. Each
    generation's P parents come from tournaments of two, and the best P of parents and children go on: by front, on the
    last one by crowding distance. P must be even.
    """
    population, values = start, objectives(start)
    for _ in range(generations):
        front = fronts(values)
        parents = population[_tournament(front, crowding_distance(values, front), generator)]
        children = mutated(crossed(parents, top, generator, variation), top, generator, variation)
        population = torch.cat([population, children])
        values = torch.cat([values, objectives(children)])
        kept = best(values, len(start))
        population, values = population[kept], values[kept]
    return population


def fronts(values: Tensor) -> Tensor:
    """Return each point's front, int64 [P]: 0 for what no point dominates, 1 for what only those do, ..."""
    no_worse = (values[:, None] <= values[None]).all(-1)
    dominates = no_worse & (values[:, None] < values[None]).any(-1)
    result = torch.full((len(values),), -1)
    front = 0
    while bool((result < 0).any()):
        left = result < 0
        free = left & ~(dominates & left[:, None]).any(0)
        result[free] = front
        front += 1
    return result


def crowding_distance(values: Tensor, front: Tensor) -> Tensor:
    """Return each point's distance to its neighbours on its front [P]: infinite at the ends of any objective."""
    result = torch.zeros(len(values), dtype=torch.float64)
    for number in range(int(front.max()) + 1):
        members = torch.nonzero(front == number).flatten()
        for objective in values[members].T.double():
            order = torch.argsort(objective, stable=True)
            span = objective[order[-1]] - objective[order[0]]
            if span == 0 and len(members) > 1:
                continue  # an objective that is equal for all has no ends
            gaps = torch.full((len(members),), torch.inf, dtype=torch.float64)
            gaps[order[1:-1]] = (objective[order[2:]] - objective[order[:-2]]) / span
            result[members] += gaps
    return result


def best(values: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` points that go on: lower fronts first, then the less crowded."""
    front = fronts(values)
    by_crowding = torch.argsort(crowding_distance(values, front), descending=True, stable=True)
    return by_crowding[torch.argsort(front[by_crowding], stable=True)][:count]


def _tournament(front: Tensor, crowding: Tensor, generator: torch.Generator) -> Tensor:
    one, other = torch.randint(0, len(front), (2, len(front)), generator=generator)
    better = (front[one] < front[other]) | ((front[one] == front[other]) & (crowding[one] >= crowding[other]))
    return torch.where(better, one, other)


def crossed(parents: Tensor, top: Tensor, generator: torch.Generator, variation: Variation) -> Tensor:
    """Return two children of each pair of `parents` [P, d], their mean that of the pair before rounding."""
    one, other = parents[0::2].double(), parents[1::2].double()
    draw = torch.rand(one.shape, generator=generator, dtype=torch.float64)
    power = 1 / (variation.crossover_index + 1)
    spread = torch.where(draw <= 0.5, (2 * draw) ** power, (1 / (2 * (1 - draw))) ** power)
    happens = torch.rand(len(one), 1, generator=generator, dtype=torch.float64) < variation.crossover
    swaps = torch.rand(one.shape, generator=generator, dtype=torch.float64) < 0.5
    spread = torch.where(happens & swaps, spread, 1.0)
    middle, half = (one + other) / 2, (one - other) / 2
    return _rounded(torch.cat([middle + spread * half, middle - spread * half]), top)


def mutated(children: Tensor, top: Tensor, generator: torch.Generator, variation: Variation) -> Tensor:
    """Return the children [P, d] with some entries moved, at most by the width of their range."""
    draw = torch.rand(children.shape, generator=generator, dtype=torch.float64)
    power = 1 / (variation.mutation_index + 1)
    step = torch.where(draw < 0.5, (2 * draw) ** power - 1, 1 - (2 * (1 - draw)) ** power)
    happens = torch.rand(children.shape, generator=generator, dtype=torch.float64) < variation.mutation
    return _rounded(children + torch.where(happens, step * top, 0.0), top)


def _rounded(values: Tensor, top: Tensor) -> Tensor:
    return torch.minimum(values.round().long().clamp(min=0), top)
