import re

import pytest

from benchmark.pruning.looks import looks
from benchmark.report.colours import OTHERS
from benchmark.report.explore.shapes import shape

MARKERS = sorted({look.marker for look in looks().values()} | {marker for _, marker in OTHERS})


def corners(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


@pytest.mark.parametrize("marker", MARKERS)
def test_a_shape_is_closed_and_within_its_box(marker):
    assert shape(marker).startswith("M") and shape(marker).endswith("Z")
    assert all(abs(value) <= 1.1 for corner in corners(shape(marker)) for value in corner)


def test_every_marker_has_a_shape_of_its_own():
    assert len({shape(marker) for marker in MARKERS}) == len(MARKERS)
    assert shape("?") == shape("o")


def test_triangles_point_where_they_say():
    assert corners(shape("^"))[0] == (0, -1) and corners(shape("v"))[0] == (0, 1)
    assert corners(shape("<"))[0] == (-1, 0) and corners(shape(">"))[0] == (1, 0)
