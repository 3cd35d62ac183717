"""Colour and marker of every method, for figures on paper and on screens, light and dark."""

from collections.abc import Sequence

from benchmark.analysis.conventions import REFERENCE
from benchmark.pruning.looks import looks

# Okabe and Ito's palette (2008), each colour with a marker of its own, so that neither has to be told apart alone.
# Pruners say theirs, with a marker of matplotlib; these are for those that do not, as "starN", a star of N points.
OTHERS = [
    *(("#CC79A7", "star13"), ("#8C6D31", "star18"), ("#7B4FA3", "star11")),
    *(("#A50026", "star12"), ("#5C7F1E", "star14"), ("#3B3F8C", "star16")),
]
DARK = "#15171b"  # the ground of the page's dark theme
CONTRAST = 4.5  # of a colour on that ground: what WCAG 2.2 asks of text


def colours(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return colour and marker by method: those of its class, or by order of appearance without."""
    own = {name: (look.color, look.marker) for name, look in looks().items() if look.color is not None}
    unknown = [method for method in methods if method not in own]
    return own | {method: OTHERS[i % len(OTHERS)] for i, method in enumerate(unknown)}


def stands_out(method: str) -> bool:
    """Return whether figures set a method apart by more than its colour: a thick line on top, markers with an edge."""
    return method == REFERENCE


def on_dark(colour: str) -> str:
    """Return the colour "#rrggbb", mixed with as much white as it takes to stand out from `DARK`."""
    own = _channels(colour)
    for step in range(21):
        mixed = [value + (1 - value) * step / 20 for value in own]
        if contrast(mixed, _channels(DARK)) >= CONTRAST:
            break
    return "#" + "".join(f"{round(255 * value):02x}" for value in mixed)


def contrast(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the contrast ratio (1 to 21) of two sRGB colours in [0, 1], as WCAG 2.2 defines it."""
    dim, bright = sorted((_luminance(first), _luminance(second)))
    return (bright + 0.05) / (dim + 0.05)


def _luminance(channels: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
