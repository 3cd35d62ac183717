"""Networks whose code states in a call how many channels there are."""

import torch
from torch import Tensor, nn

IMAGE = torch.zeros(1, 3, 8, 8)


class Heads(nn.Module):
    """Attention of four heads, whose outer width, not its own, is what it shapes its values to."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, stride=4)
        self.num_heads = 4
        self.table = nn.Parameter(torch.randn(3, 4))
        self.qkv = nn.Linear(16, 48)
        self.proj = nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images).flatten(2).transpose(1, 2)
        count, places, width = x.shape
        qkv = self.qkv(x).reshape(count, places, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[torch.arange(places) % 3].view(places, 4).t()[None, :, None]
        mixed = (q @ k.transpose(-2, -1) + bias).softmax(-1) @ v
        x = x + self.proj(mixed.transpose(1, 2).reshape(count, places, width))
        return self.head(x.mean(1))


class Flat(nn.Module):
    """A map flattened to a number that is written down, and images counted by what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(24, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.fc(self.pool(self.conv(images).relu()).view(-1, 24)).relu())


class Parts(nn.Module):
    """Channels divided at fixed places: by sizes, by one size, by slices and by their number."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3)
        self.left, self.right = nn.Conv2d(4, 7, 1), nn.Conv2d(8 if how != "size" else 4, 7, 1)
        if how == "size":
            self.last = nn.Conv2d(4, 7, 1)
        self.how = how
        self.head = nn.Linear(7, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images).relu()
        if self.how == "sizes":
            one, other = torch.split(x, [4, 8], dim=1)
        elif self.how == "size":
            one, other, last = x.split(4, 1)
            other, x = other, last
        else:
            one, other = x[:, :4], x[:, 4:12]
        found = self.left(one).relu() + self.right(other).relu()
        if self.how == "size":
            found = found + self.last(x).relu()
        return self.head(found.mean((2, 3)))
