import pytest
import torch
from sklearn.linear_model import LogisticRegression

from benchmark.protocol.probe import classify, logistic_regression


def episodes(count: int = 3, ways: int = 4, shots: int = 5, width: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, ways, shots, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("strength", [0.01, 0.3])
def test_it_finds_the_optimum_of_another_solver(strength: float) -> None:
    support = episodes()
    weights, _ = logistic_regression(support, strength)
    for number in range(len(support)):
        rows, labels = support[number].flatten(0, 1).numpy(), torch.arange(4).repeat_interleave(5).numpy()
        # Its objective is C times the sum of losses plus half the squared norm.
        other = LogisticRegression(C=1 / (strength * len(rows)), tol=1e-8, max_iter=5000).fit(rows, labels)
        torch.testing.assert_close(weights[number], torch.from_numpy(other.coef_), atol=2e-4, rtol=1e-3)


def test_the_gradient_is_zero_at_the_end() -> None:
    support, strength = episodes(), 0.05
    weights, biases = logistic_regression(support, strength)
    rows, labels = support.flatten(1, 2), torch.arange(4).repeat_interleave(5)
    shares = torch.softmax(rows @ weights.transpose(1, 2) + biases[:, None], -1)
    errors = (shares - torch.eye(4, dtype=torch.float64)[labels]) / 20
    assert float((errors.transpose(1, 2) @ rows + strength * weights).abs().max()) < 1e-5
    assert float(errors.sum(1).abs().max()) < 1e-5


def test_strong_regularisation_leaves_the_classes_equal() -> None:
    weights, biases = logistic_regression(episodes(), 1e6)
    assert float(weights.abs().max()) < 1e-5
    assert float((biases - biases.mean(1, keepdim=True)).abs().max()) < 1e-4


def test_separated_classes_are_told_apart() -> None:
    centres = 10 * torch.eye(3)
    support = centres[None, :, None] + 0.1 * torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    weights, biases = logistic_regression(support, 0.01)
    assert classify(weights, biases, centres).tolist() == [[0, 1, 2], [0, 1, 2]]
