"""What is measured on images: the channel statistics for normalisation, near-duplicates between two sets."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from benchmark.data.transforms import image_hashes

BLOCK = 4096


def channel_stats(images: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [C], float32, of `images[index]` / 255 over images and pixels.

    Computed from integer histograms in float64, so the order and grouping of images do not matter. The standard
    deviation of a constant channel is given as 1/255, so that one can divide by it.
    """
    channels = images.shape[1]
    histogram = torch.zeros(channels, 256, dtype=torch.int64)
    for rows in index.split(BLOCK):
        block = images[rows]
        for channel in range(channels):
            histogram[channel] += torch.bincount(block[:, channel].flatten(), minlength=256)
    share = histogram.double() / histogram.sum(1, keepdim=True)
    value = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ value
    deviation = (share * (value - mean[:, None]) ** 2).sum(1).sqrt()
    return mean.float(), deviation.clamp(min=1 / 255).float()


def near_duplicates(a: Tensor, b: Tensor, threshold: float = 0.99, side: int = 16) -> dict[str, Any]:
    """Report which images of `b` look like one of `a` (both uint8 [N, C, H, W]; sizes and channels may differ).

    Two images are near-duplicates when their grey thumbnails of at most side x side pixels correlate by at least
    `threshold`; brightness and contrast do not count. Returns the number of such pairs, the number of images of `b` in
    one, the number of images of `b` that are pixel for pixel in `a`, and the ten closest pairs as
    [index in a, index in b, correlation].
    """
    side = min(side, *a.shape[-2:], *b.shape[-2:])
    left = torch.cat([_thumbnails(block, side) for block in a.split(BLOCK)])
    pairs: list[tuple[float, int, int]] = []
    count, involved = 0, 0
    for start in range(0, len(b), BLOCK):
        right = _thumbnails(b[start : start + BLOCK], side)
        alike = torch.zeros(len(right), dtype=torch.bool)
        for first in range(0, len(left), BLOCK):
            correlation = left[first : first + BLOCK] @ right.T
            if float(correlation.max()) < threshold:
                continue
            rows, columns = torch.nonzero(correlation >= threshold, as_tuple=True)
            count += len(rows)
            alike[columns] = True
            value = correlation[rows, columns]
            best = value.argsort(descending=True, stable=True)[:10].tolist()
            pairs += [(round(float(value[i]), 4), first + int(rows[i]), start + int(columns[i])) for i in best]
        involved += int(alike.sum())
    same: set[bytes] = set()
    if a.shape[1:] == b.shape[1:]:
        same = set(image_hashes(a.numpy())) & set(image_hashes(b.numpy()))
    exact = sum(value in same for value in image_hashes(b.numpy())) if same else 0
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return {
        "threshold": threshold,
        "side": side,
        "pairs": count,
        "images": involved,
        "exact": exact,
        "closest": [[i, j, value] for value, i, j in pairs[:10]],
    }


def _thumbnails(images: Tensor, side: int) -> Tensor:
    """Grey thumbnails of mean 0 and norm 1, [N, side * side] float32; a flat image becomes 0."""
    small = adaptive_avg_pool2d(images.float().mean(1, keepdim=True), side).flatten(1)
    small = small - small.mean(1, keepdim=True)
    norm = small.norm(dim=1, keepdim=True)
    # One grey level over the thumbnail: below it, what is left is rounding, not a picture.
    return torch.where(norm > side, small / norm.clamp(min=1e-9), torch.zeros(()))
