import pytest

from benchmark.pruning.looks import looks
from benchmark.report.colours import CONTRAST, DARK, OTHERS, colours, contrast, on_dark


def channels(colour):
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def test_contrast_by_hand():
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast((1, 1, 1), (1, 1, 1)) == pytest.approx(1)
    # (0x77, 0x77, 0x77) on white is known to miss 4.5 by a little.
    assert contrast(channels("#777777"), (1, 1, 1)) == pytest.approx(4.48, abs=0.005)


def test_every_colour_is_seen_on_the_dark_ground():
    names = [*looks(), *(f"third_party_{i}" for i in range(len(OTHERS)))]
    for colour, _ in colours(names).values():
        assert contrast(channels(on_dark(colour)), channels(DARK)) >= CONTRAST - 0.05, colour
    assert on_dark("#ffffff") == "#ffffff" and on_dark("#000000") != "#000000"
