"""NSGA-II, against hand-sorted points and a problem whose front is known."""

import torch
from torch import Tensor

from benchmark.pruning.evolution import Variation, best, crossed, crowding_distance, evolve, fronts, mutated

POINTS = torch.tensor([[1.0, 5.0], [2.0, 2.0], [5.0, 1.0], [3.0, 3.0], [6.0, 6.0], [2.0, 2.0]]).double()


def two_ends(levels: Tensor) -> Tensor:
    """Distance to 0 and to 20 of the first entry, both made worse by the other entries: the front has these at 0."""
    rest = levels[:, 1:].sum(1)
    return torch.stack([levels[:, 0] + rest, 20 - levels[:, 0] + rest], 1).double()


def test_fronts_by_hand() -> None:
    # Equal points do not dominate each other.
    assert fronts(POINTS).tolist() == [0, 0, 0, 1, 2, 0]


def test_crowding_by_hand() -> None:
    values = torch.tensor([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0], [9.0, 9.0]]).double()
    found = crowding_distance(values, torch.tensor([0, 0, 0, 1]))
    # The middle point's neighbours are the ends of the front: the whole span, in both objectives.
    assert found.tolist() == [torch.inf, 2.0, torch.inf, torch.inf]


def test_an_objective_that_is_equal_for_all_has_no_ends() -> None:
    values = torch.tensor([[0.0, 7.0], [1.0, 7.0], [4.0, 7.0]]).double()
    assert crowding_distance(values, torch.zeros(3).long()).tolist() == [torch.inf, 1.0, torch.inf]


def test_best_takes_lower_fronts_first_and_of_the_last_one_its_ends() -> None:
    values = torch.tensor([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0], [9.0, 9.0]]).double()
    assert set(best(values, 2).tolist()) == {0, 3}
    assert set(best(values, 4).tolist()) == {0, 1, 2, 3}


def test_the_front_is_found_and_covered() -> None:
    top = torch.full((4,), 20)
    draw = torch.Generator().manual_seed(0)
    start = torch.randint(0, 21, (20, 4), generator=draw)
    assert bool((start[:, 1:] > 0).any(1).all())  # nothing of the front to start with
    found = evolve(two_ends, start, top, 100, draw, Variation(mutation=0.25))
    assert bool((found[:, 1:] == 0).all())
    first = found[:, 0].sort().values
    assert first[0] == 0 and first[-1] == 20
    assert int(first.diff().max()) <= 3


def test_one_objective_is_plain_minimisation() -> None:
    top = torch.full((4,), 20)
    draw = torch.Generator().manual_seed(1)
    start = torch.randint(0, 21, (20, 4), generator=draw)
    found = evolve(lambda levels: levels.sum(1, keepdim=True).double(), start, top, 150, draw, Variation(mutation=0.25))
    assert int(found.sum(1).min()) == 0


def test_no_generation_and_no_variation_leave_the_start() -> None:
    start = torch.randint(0, 5, (6, 3), generator=torch.Generator().manual_seed(2))
    top = torch.full((3,), 4)
    assert torch.equal(evolve(two_ends, start, top, 0, torch.Generator()), start)
    still = Variation(crossover=0.0, mutation=0.0)
    draw = torch.Generator().manual_seed(3)
    assert sorted(map(tuple, crossed(start, top, draw, still).tolist())) == sorted(map(tuple, start.tolist()))
    assert torch.equal(mutated(start, top, draw, still), start)


def test_children_stay_in_range_and_the_search_is_its_seed_s() -> None:
    top = torch.tensor([3, 1, 7])
    start = torch.randint(0, 2, (8, 3), generator=torch.Generator().manual_seed(4))
    wild = Variation(crossover=1.0, crossover_index=0.1, mutation=1.0, mutation_index=0.1)
    runs = [evolve(two_ends, start, top, 1, torch.Generator().manual_seed(seed), wild) for seed in (5, 5, 6)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert bool((runs[0] >= 0).all()) and bool((runs[0] <= top).all())
    moved = mutated(start, top, torch.Generator().manual_seed(7), wild)
    assert not torch.equal(moved, start) and bool((moved >= 0).all()) and bool((moved <= top).all())
