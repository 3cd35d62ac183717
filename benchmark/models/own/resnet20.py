"""ResNet-20, the small residual network made for CIFAR."""

import torch
from torch import nn

STAGES = (16, 32, 64)
BLOCKS = 3


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: the identity, or a 1x1 projection where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels and stride == 1
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        )
        self.relu2 = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the block's maps [N, out, H / stride, W / stride]."""
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(maps)))))
        return self.relu2(branch + self.shortcut(maps))


class ResNet20(nn.Module):
    """ResNet-20: a stem, three stages of three residual blocks, global average pooling, a linear head.

    A balanced network, the contrast to VGG-16. Shortcuts are projections where the shape changes
    (option B), because zero-padded ones (option A) would tie channels to their positions.
    He et al., CVPR 2016.
    """

    def __init__(self, in_channels: int, classes: int, image_size: int, width: float) -> None:  # noqa: ARG002
        super().__init__()
        widths = [max(1, round(channels * width)) for channels in STAGES]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, out in enumerate(widths):
            for index in range(BLOCKS):
                blocks.append(Block(channels, out, stride=2 if stage > 0 and index == 0 else 1))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [N, classes] of images [N, C, H, W]."""
        return self.head(self.blocks(self.stem(images)).mean((2, 3)))
