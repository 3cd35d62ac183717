"""The moments of Gumbel noise, and samples without replacement against their law."""

import math
from collections import Counter
from itertools import permutations

import pytest
import torch

from benchmark.pruning.gumbel import gumbel, without_replacement


def test_moments() -> None:
    draws = gumbel(20_000, torch.Generator().manual_seed(0))
    # Four standard deviations of the mean, and of the variance (whose excess kurtosis is 2.4).
    assert float(draws.mean()) == pytest.approx(0.57722, abs=4 * 1.2825 / math.sqrt(20_000))
    assert float(draws.var()) == pytest.approx(math.pi**2 / 6, abs=4 * 1.645 * math.sqrt(4.4 / 20_000))


def test_places_are_drawn_one_after_the_other() -> None:
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    draw = torch.Generator().manual_seed(1)
    found = Counter(tuple(without_replacement(shares.log(), 2, draw)) for _ in range(4000))
    for first, second in permutations(range(3), 2):
        law = float(shares[first] * shares[second] / (1 - shares[first]))
        assert found[first, second] / 4000 == pytest.approx(law, abs=4 * math.sqrt(law * (1 - law) / 4000))


def test_shares_too_small_for_a_float_are_drawn_last() -> None:
    draw = torch.Generator().manual_seed(2)
    assert without_replacement(torch.tensor([0.0, -2000.0, -1000.0]), 3, draw) == [0, 2, 1]
    assert without_replacement(torch.zeros(1), 2, draw) == [0]
