"""Convex objectives of gates: linear models whose fixed weights are multiplied by gates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmark import seeds
from benchmark.config.params import DatasetRef
from benchmark.data import load

DOUBLE = torch.float64


class Loss(NamedTuple):
    """A convex loss of (output, target), its derivative in the output, and the largest second derivative."""

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    bend: float


LOSSES = {
    "squared": Loss(lambda p, y: (p - y).square(), lambda p, y: 2 * (p - y), 2.0),
    "logistic": Loss(lambda p, y: softplus(-y * p), lambda p, y: -y * torch.sigmoid(-y * p), 0.25),
    "linear": Loss(lambda p, y: p + 0 * y, lambda p, y: torch.ones_like(p) + 0 * y, 0.0),
}


@dataclass(frozen=True)
class Problem:
    """J(a) = mean over k of loss(offset + rows[k] . a, targets[k]) + penalty * costs . a, for a in the cube.

    A row is an example's features, each times its weight, so that a gate multiplies a weight. Under a law of weights
    a row is a pair of an example and a draw. `costs` sum to 1: they are a complexity. Gates are [runs, n].
    """

    name: str
    title: str
    loss: Literal["squared", "logistic", "linear"]
    rows: Tensor
    targets: Tensor
    offset: float
    costs: Tensor
    penalty: float
    repetitions: int

    @property
    def units(self) -> int:
        """The number n of gates."""
        return self.rows.shape[1]

    def outputs(self, gates: Tensor) -> Tensor:
        """Return the model's outputs [runs, rows]."""
        return self.offset + gates @ self.rows.T

    def value(self, gates: Tensor) -> Tensor:
        """Return J [runs]."""
        losses = LOSSES[self.loss].value(self.outputs(gates), self.targets)
        return losses.mean(1) + self.penalty * (gates @ self.costs)

    def gradient(self, gates: Tensor) -> Tensor:
        """Return the gradient of J [runs, n]."""
        slopes = LOSSES[self.loss].slope(self.outputs(gates), self.targets)
        return slopes @ self.rows / len(self.rows) + self.penalty * self.costs

    def value_and_gradient(self, gates: Tensor) -> tuple[Tensor, Tensor]:
        """Return both from one look at the rows."""
        outputs, loss = self.outputs(gates), LOSSES[self.loss]
        value = loss.value(outputs, self.targets).mean(1) + self.penalty * (gates @ self.costs)
        gradient = loss.slope(outputs, self.targets) @ self.rows / len(self.rows)
        return value, gradient + self.penalty * self.costs

    def batch_gradient(self, gates: Tensor, chosen: Tensor) -> Tensor:
        """Return the gradient [runs, n] on the rows `chosen` [runs, batch] in place of all."""
        rows = self.rows[chosen]
        outputs = self.offset + torch.einsum("rbn,rn->rb", rows, gates)
        slopes = LOSSES[self.loss].slope(outputs, self.targets[chosen])
        return torch.einsum("rb,rbn->rn", slopes, rows) / chosen.shape[1] + self.penalty * self.costs


def problems() -> list[Problem]:
    """Return the problems that are measured, from the smallest to the largest."""
    return [regression(), random_features(), small_digits(), digits(), law(), many_features()]


def regression(units: int = 12, examples: int = 60, penalty: float = 0.3) -> Problem:
    """A regression of noisy targets on Gaussian features, about half of which matter."""
    draw = seeds.generator(0, "guarantee", "regression")
    features = torch.randn(examples, units, generator=draw, dtype=DOUBLE)
    teacher = torch.randn(units, generator=draw, dtype=DOUBLE) * (torch.rand(units, generator=draw) < 0.5)
    targets = features @ teacher + 0.5 * torch.randn(examples, generator=draw, dtype=DOUBLE)
    weights = _ridge(features, targets, 0.01)
    title = f"regression, n = {units}"
    return _problem("regression", title, "squared", features * weights, targets, 0.0, penalty, 64)


def random_features(units: int = 16, examples: int = 200, penalty: float = 0.3) -> Problem:
    """Labels of a linear teacher, told apart by random features of five inputs."""
    draw = seeds.generator(0, "guarantee", "random-features")
    inputs = torch.randn(examples, 5, generator=draw, dtype=DOUBLE)
    labels = (inputs @ torch.randn(5, generator=draw, dtype=DOUBLE)).sign()
    features = torch.tanh(inputs @ torch.randn(5, units, generator=draw, dtype=DOUBLE))
    weights = 3 * _ridge(features, labels, 0.01)
    title = f"random features, n = {units}"
    return _problem("random-features", title, "logistic", features * weights, labels, 0.0, penalty, 64)


def small_digits(penalty: float = 0.2) -> Problem:
    """The digits 0-4 against 5-9 from 4 x 4 pixels, by least squares."""
    pixels, labels = _digits(600, 2)
    weights, offset = _centred(pixels, labels, 0.01)
    rows = (pixels - pixels.mean(0)) * weights
    return _problem("digits-16", "digits, 16 pixels", "squared", rows, labels, offset, penalty, 64)


def digits(penalty: float = 0.1) -> Problem:
    """The digits 0-4 against 5-9 from 8 x 8 pixels, by logistic regression."""
    pixels, labels = _digits(600, 1)
    weights, offset = _centred(pixels, labels, 0.01)
    rows = 2 * (pixels - pixels.mean(0)) * weights
    return _problem("digits-64", "digits, 64 pixels", "logistic", rows, labels, offset, penalty, 64)


def law(units: int = 300, examples: int = 200, draws: int = 4, penalty: float = 0.3) -> Problem:
    """A regression scored against a law of weights: each draw is fitted to its own half of the examples."""
    draw = seeds.generator(0, "guarantee", "law")
    mixing = torch.randn(40, units, generator=draw, dtype=DOUBLE) / 40**0.5
    features = torch.randn(examples, 40, generator=draw, dtype=DOUBLE) @ mixing
    features += 0.5 * torch.randn(examples, units, generator=draw, dtype=DOUBLE)
    targets = features[:, : units // 10].sum(1) / (units // 10) ** 0.5
    targets += 0.3 * torch.randn(examples, generator=draw, dtype=DOUBLE)
    rows = []
    for _ in range(draws):
        half = torch.randperm(examples, generator=draw)[: examples // 2]
        rows.append(features * _ridge(features[half], targets[half], 0.3))
    title = f"law of weights, n = {units}"
    return _problem("law", title, "squared", torch.cat(rows), targets.repeat(draws), 0.0, penalty, 16)


def many_features(units: int = 1000, examples: int = 500, penalty: float = 0.1) -> Problem:
    """The digits 0-4 against 5-9 from many random features of the pixels, by logistic regression."""
    draw = seeds.generator(0, "guarantee", "many-features")
    pixels, labels = _digits(examples, 1)
    mixed = (pixels - 0.3) @ torch.randn(pixels.shape[1], units, generator=draw, dtype=DOUBLE) / 4
    features = torch.relu(mixed + 0.3 * torch.randn(units, generator=draw, dtype=DOUBLE))
    weights, offset = _centred(features, labels, 0.1)
    rows = 4 * (features - features.mean(0)) * weights
    title = f"digits, {units} features"
    return _problem("many-features", title, "logistic", rows, labels, offset, penalty, 8)


def coin(steps: int, units: int = 16, examples: int = 1000) -> Problem:
    """A linear objective that its own noise hides for `steps` steps: every gradient is -1 or 1, with a small mean.

    The mean falls as one over the root of `steps`, so that no step size tells its sign much earlier.
    """
    draw = seeds.generator(0, "guarantee", "coin", steps)
    up = round(examples * min(1.0, (1 + 2 / steps**0.5) / 2))
    signs = torch.cat([torch.ones(up, dtype=DOUBLE), -torch.ones(examples - up, dtype=DOUBLE)])
    rows = torch.stack([signs[torch.randperm(examples, generator=draw)] for _ in range(units)], 1)
    none = torch.zeros(examples, dtype=DOUBLE)
    return _problem("coin", "signs hidden by noise", "linear", rows, none, 0.0, 0.0, 64)


def _problem(
    name: str,
    title: str,
    loss: Literal["squared", "logistic", "linear"],
    rows: Tensor,
    targets: Tensor,
    offset: float,
    penalty: float,
    repetitions: int,
) -> Problem:
    """A problem whose units all cost the same."""
    costs = torch.full((rows.shape[1],), 1 / rows.shape[1], dtype=DOUBLE)
    return Problem(name, title, loss, rows.contiguous(), targets, offset, costs, penalty, repetitions)


def _digits(examples: int, block: int) -> tuple[Tensor, Tensor]:
    """Pixels in [0, 1], averaged over blocks, [examples, pixels], and labels -1 (0-4) or 1 (5-9)."""
    data = load(DatasetRef(name="digits"))
    images = data.images[:examples].to(DOUBLE) / 255
    pixels = torch.nn.functional.avg_pool2d(images, block).flatten(1)
    return pixels, torch.where(data.labels[:examples] >= 5, 1.0, -1.0).to(DOUBLE)


def _centred(features: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, float]:
    """Ridge weights of the centred features, and the offset that belongs to them."""
    return _ridge(features - features.mean(0), targets - targets.mean(), strength), float(targets.mean())


def _ridge(features: Tensor, targets: Tensor, strength: float) -> Tensor:
    gram = features.T @ features / len(features)
    return torch.linalg.solve(
        gram + strength * torch.eye(len(gram), dtype=DOUBLE), features.T @ targets / len(features)
    )
