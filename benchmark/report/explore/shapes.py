"""The markers of matplotlib as SVG paths, for figures and legends on the page."""

import math

_STROKE = 0.34  # half the width of a bar of a cross


def shape(marker: str) -> str:
    """Return the marker as a closed SVG path within [-1, 1], y downwards; a circle for one that is not known."""
    return _SIDES.get(marker, _SIDES["o"])


def _polygon(corners: int, turn: float = 0.0, inner: float = 1.0) -> str:
    """A regular polygon with a corner at the top, or a star whose inner corners are `inner` from the middle."""
    points = []
    for k in range(corners):
        angle = 2 * math.pi * k / corners + turn
        radius = inner if k % 2 else 1.0
        points.append((radius * math.sin(angle), -radius * math.cos(angle)))
    return _closed(points)


def _cross(turn: float) -> str:
    w = _STROKE
    plain = [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w), (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w)]
    sine, cosine = math.sin(turn), math.cos(turn)
    return _closed([(x * cosine - y * sine, x * sine + y * cosine) for x, y in plain])


def _closed(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{round(x, 3) + 0.0:g},{round(y, 3) + 0.0:g}" for x, y in points) + "Z"


_SIDES = {
    "o": "M0.9,0A0.9,0.9,0,1,1,-0.9,0A0.9,0.9,0,1,1,0.9,0Z",
    "s": _closed([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]),
    "D": _polygon(4),
    "d": _closed([(0, -1), (0.6, 0), (0, 1), (-0.6, 0)]),
    "^": _polygon(3),
    "v": _polygon(3, math.pi),
    "<": _polygon(3, -math.pi / 2),
    ">": _polygon(3, math.pi / 2),
    "p": _polygon(5),
    "h": _polygon(6),
    "H": _polygon(6, math.pi / 6),
    "8": _polygon(8, math.pi / 8),
    "*": _polygon(10, inner=0.45),
    "P": _cross(0.0),
    "X": _cross(math.pi / 4),
    **{f"star{points}": _polygon(2 * points, inner=0.5) for points in range(3, 19)},
}
