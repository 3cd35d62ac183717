"""VGG-16 with batch norm, for images of any size."""

import torch
from torch import nn

LAYOUT = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")


class VGG16(nn.Module):
    """VGG-16 layout with batch norm: 13 convolutions, global average pooling, one linear head.

    The long tail of equally wide layers makes it unevenly over-parameterised. Pooling stops
    once the map is 1x1, so small images pass. Simonyan & Zisserman, ICLR 2015 (configuration D),
    with the batch norm of Ioffe & Szegedy 2015 and without the two hidden fully connected layers.
    """

    def __init__(self, in_channels: int, classes: int, image_size: int, width: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, size = in_channels, image_size
        for item in LAYOUT:
            if isinstance(item, str):
                if size > 1:
                    layers.append(nn.MaxPool2d(2))
                    size //= 2
                continue
            out = max(1, round(item * width))
            layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [N, classes] of images [N, C, H, W]."""
        return self.head(self.features(images).mean((2, 3)))
