"""Networks in which one layer or tensor has two names, or is kept between runs."""

from coupled import Hidden
from keeping import Keeping
from torch import Tensor, nn


class TwoNames(Hidden):
    """One layer under two names, and two norms with one scale."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 1)
        self.other = self.one
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.second.weight = self.first.weight

    def between(self, x: Tensor) -> Tensor:
        return self.second(self.other(self.first(self.one(x)).relu()))


class Remembering(Keeping, Hidden):
    def between(self, x: Tensor) -> Tensor:
        return self.scaled(x)
