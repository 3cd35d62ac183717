"""What layers keep of their parameters, for networks of any form."""

import torch
from torch import Tensor, nn


class Keeping(nn.Module):
    """Keeps what it makes of a parameter while it does not train, as attention biases of small transformers are.

    To be put before the network it is added to, of four channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4))
        self.kept: list[Tensor] = []

    def train(self, mode: bool = True) -> nn.Module:
        if mode:
            self.kept = []
        return super().train(mode)

    def scaled(self, x: Tensor) -> Tensor:
        scale = self.scale[:, None, None] ** 2
        if not self.training:
            self.kept = self.kept or [scale]
            scale = self.kept[0]
        return x * scale
