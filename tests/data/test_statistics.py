"""Channel statistics and the near-duplicate report."""

import pytest
import torch

from benchmark.data.statistics import channel_stats, near_duplicates


def pictures(count: int, seed: int, channels: int = 1, side: int = 16) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=random)


def test_channel_stats_of_two_images() -> None:
    images = torch.tensor([[[[0, 255]], [[51, 51]]], [[[0, 255]], [[51, 51]]], [[[9, 9]], [[9, 9]]]], dtype=torch.uint8)
    mean, deviation = channel_stats(images, torch.tensor([0, 1]))
    assert mean.tolist() == pytest.approx([0.5, 0.2])
    # The second channel is constant: 1/255 in place of 0.
    assert deviation.tolist() == pytest.approx([0.5, 1 / 255])
    assert mean.dtype == deviation.dtype == torch.float32


def test_channel_stats_do_not_depend_on_the_order() -> None:
    images = pictures(9000, 0, channels=3, side=4)
    order = torch.randperm(9000, generator=torch.Generator().manual_seed(0))
    (mean, deviation), (again, deviation_again) = (
        channel_stats(images, torch.arange(9000)),
        channel_stats(images, order),
    )
    assert torch.equal(mean, again) and torch.equal(deviation, deviation_again)
    values = images.double().transpose(0, 1).flatten(1) / 255
    torch.testing.assert_close(mean.double(), values.mean(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(deviation.double(), values.std(1, correction=0), atol=1e-6, rtol=0)


def test_near_duplicates_are_found_across_brightness_size_and_channels() -> None:
    a, b = pictures(50, 0), pictures(30, 1)
    b[3] = a[7]
    b[5] = a[9] // 2 + 30
    report = near_duplicates(a, b)
    assert report["pairs"] == report["images"] == 2
    assert report["exact"] == 1
    assert [pair[:2] for pair in report["closest"]] == [[7, 3], [9, 5]]
    assert report["closest"][0][2] == 1.0
    large = b.repeat(1, 3, 1, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    report = near_duplicates(a, large)
    assert (report["pairs"], report["exact"]) == (2, 0)


def test_nothing_alike_and_flat_images() -> None:
    a, b = pictures(50, 0), pictures(30, 1)
    a[0], b[0] = 10, 200
    report = near_duplicates(a, b)
    assert (report["pairs"], report["images"], report["exact"], report["closest"]) == (0, 0, 0, [])


def test_blocks_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pictures(50, 0), pictures(30, 1)
    b[29], b[2] = a[49], a[0]
    whole = near_duplicates(a, b)
    monkeypatch.setattr("benchmark.data.statistics.BLOCK", 7)
    assert near_duplicates(a, b) == whole
    assert whole["pairs"] == 2
