"""Predictors learn what a table of levels says."""

import pytest
import torch

from benchmark.pruning.predictors import fitted, one_hot

COUNTS = torch.tensor([3, 2])


def test_indicators_by_hand() -> None:
    assert one_hot(torch.tensor([[2, 0], [0, 1]]), COUNTS).tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_what_adds_up_is_predicted_in_its_own_unit(size: float) -> None:
    rows = torch.cartesian_prod(*[torch.arange(4)] * 3)
    truth = size * (0.5 * rows[:, 0] + 0.2 * rows[:, 1] + 0.1).double()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    seen, unseen = order[:40], order[40:]
    predict = fitted(rows[seen], truth[seen], torch.tensor([4, 4, 4]))
    assert float((predict(rows[unseen]) - truth[unseen]).abs().max()) < 0.1 * float(truth.max())


def test_two_rows_and_zeros_are_enough() -> None:
    predict = fitted(torch.tensor([[0, 0], [2, 1]]), torch.zeros(2), COUNTS)
    assert predict(torch.tensor([[1, 1]])).tolist() == pytest.approx([0.0])
