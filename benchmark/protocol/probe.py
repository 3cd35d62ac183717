"""The measure `probe`: regularised logistic regression on frozen features."""

import torch
from torch import Tensor
from torch.nn import functional as F

ITERATIONS = 100


def logistic_regression(support: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Fit one classifier per episode; returns weights [E, W, D] and biases [E, W], doubles.

    `support` [E, W, K, D] are the features of K examples of each of W classes in E episodes. Minimises in every episode
    the mean cross-entropy over its W K examples plus `strength` / 2 times the squared norm of the weights; biases are
    free. The episodes are solved side by side: their objectives share no variable, so the minimum of the sum is
    that of each.
    """
    episodes, ways, shots, width = support.shape
    rows = support.double().flatten(1, 2)
    labels = torch.arange(ways, device=support.device).repeat_interleave(shots).expand(episodes, -1)
    weights = torch.zeros(episodes, ways, width, dtype=torch.float64, device=support.device, requires_grad=True)
    biases = torch.zeros(episodes, ways, dtype=torch.float64, device=support.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, biases], max_iter=ITERATIONS, tolerance_grad=1e-6, history_size=20, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        fit = F.cross_entropy(logits(weights, biases, rows).flatten(0, 1), labels.flatten()) * episodes
        loss: Tensor = fit + strength / 2 * (weights**2).sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return weights.detach(), biases.detach()


def classify(weights: Tensor, biases: Tensor, query: Tensor) -> Tensor:
    """Return the class of every query [Q, D] in every episode, int64 [E, Q]."""
    return logits(weights, biases, query).argmax(-1)


def logits(weights: Tensor, biases: Tensor, query: Tensor) -> Tensor:
    """Return the logits [E, Q, W], doubles, of every query [Q, D] in every episode."""
    return query.double() @ weights.transpose(1, 2) + biases[:, None]
