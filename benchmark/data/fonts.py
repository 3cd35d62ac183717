"""Characters drawn with the DejaVu fonts that matplotlib ships: look-alikes, and distorted pictures of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import ImageFont

# The text faces; the two display faces cover mathematics only.
FACES = tuple(
    f"DejaVu{family}{style}.ttf"
    for family, slant in (("Sans", "Oblique"), ("SansMono", "Oblique"), ("Serif", "Italic"))
    for style in ("", "-Bold", f"-Bold{slant}", f"-{slant}")
)
# A class is a character that at least this many faces have.
ENOUGH_FACES = 6
# Look-alikes: see `alike`.
ALIKE = 0.95
_REACH = 2
_SAME_ASPECT = 1.5
_EM = 96
_CANVAS = 256
_OUTLINE = 32
# Positions in a drawing are integers in units of 1 / _ONE pixel, so that no machine rounds them otherwise.
_ONE = 1 << 12
# Samples per side of a pixel.
_SAMPLES = 4
# Chosen on the Latin block alone: strong enough that raw pixels with a nearest class mean get a sixth of its pictures
# right from 5 shots, weak enough that a network learns it in some hundred steps. Radians, and shares of the picture.
ROTATION, SHEAR, SCALE, SHIFT = 0.45, 0.40, 0.30, 0.12
# Grey levels.
NOISE = 40


def font_folder() -> Path:
    """Return the folder of matplotlib's font files, without importing matplotlib."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise BenchError("glyphs: matplotlib, whose fonts are drawn, is not installed; run `make setup`")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def _coverage(face: str) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    path = font_folder() / face
    if not path.is_file():
        raise BenchError(f"glyphs: {path} is missing; install the matplotlib of requirements.lock")
    with TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())


def faces_of(character: str) -> tuple[str, ...]:
    """Return the faces whose character map has the character."""
    return tuple(face for face in FACES if ord(character) in _coverage(face))


@cache
def _font(face: str) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(font_folder() / face, _EM, layout_engine=ImageFont.Layout.BASIC)


@cache
def drawing(character: str, face: str) -> NDArray[np.uint8]:
    """Return the upright character, white on black, cut to its ink: uint8 [h, w], at 96 pixels an em."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(canvas).text((_CANVAS // 4, _CANVAS // 4), character, fill=255, font=_font(face))
    box = canvas.getbbox()
    return np.zeros((0, 0), np.uint8) if box is None else np.asarray(canvas.crop(box))


def distinct(candidates: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Return the candidates that enough faces draw and that look like none of `taken` and no earlier candidate.

    So Greek Alpha is left out beside Latin A, and of o and O the later one; see `alike`.
    """
    kept: list[str] = []
    for character in candidates:
        drawn = [face for face in faces_of(character) if drawing(character, face).size]
        if len(drawn) >= ENOUGH_FACES and not any(alike(character, other) >= ALIKE for other in (*taken, *kept)):
            kept.append(character)
    return kept


def alike(a: str, b: str) -> float:
    """Return how alike two characters are, in 0..1: the mean, over the faces that have both, of the covered ink.

    Both drawings are stretched to one square, so that neither place nor size counts. Covered is the smaller of two
    shares: of the ink of `a` within `_REACH` pixels of ink of `b`, and the other way round. Drawings of which one is
    `_SAME_ASPECT` times as wide for its height as the other count as 0.
    """
    left, wide = _outlines(a)
    right, other = _outlines(b)
    both = (wide > 0) & (other > 0)
    if not both.any():
        return 0.0
    same = np.maximum(wide[both] / other[both], other[both] / wide[both]) < _SAME_ASPECT
    if not same.any():
        return 0.0
    (ink, near), (ink_b, near_b) = left[:, both], right[:, both]
    covered = np.minimum((ink & near_b).sum(1) / ink.sum(1), (ink_b & near).sum(1) / ink_b.sum(1))
    return float((covered * same).mean())


@cache
def _outlines(character: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the ink and what is near it, bool [2, faces, pixels], and width / height, 0 where a face lacks it."""
    from PIL import Image
    from scipy.ndimage import maximum_filter

    masks = np.zeros((2, len(FACES), _OUTLINE**2), dtype=bool)
    aspects = np.zeros(len(FACES))
    for face in faces_of(character):
        ink = drawing(character, face)
        if ink.size:
            square = Image.fromarray(ink).resize((_OUTLINE, _OUTLINE), Image.Resampling.BOX)
            mask = np.asarray(square) >= 128
            number = FACES.index(face)
            masks[:, number] = mask.ravel(), maximum_filter(mask, 2 * _REACH + 1).ravel()
            aspects[number] = ink.shape[1] / ink.shape[0] if mask.any() else 0
    return masks, aspects


def pictures(character: str, count: int, size: int, random: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Yield `count` grey pictures [size, size] of a character, white on black, its faces taking turns.

    Each is turned by up to 26 degrees, sheared, stretched, scaled and shifted at random; then noise is added. A picture
    holds the character at the size of its ink, so small and large letters of one shape could not be told apart.
    """
    faces = [face for face in faces_of(character) if drawing(character, face).size]
    for number in range(count):
        yield _distorted(drawing(character, faces[number % len(faces)]), size, random)


def _distorted(ink: NDArray[np.uint8], size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    height, width = ink.shape
    angle, shear, stretch, scale, x, y = random.uniform(-1, 1, 6)
    cos, sin = np.cos(ROTATION * angle), np.sin(ROTATION * angle)
    # From the picture's coordinates (its side is 1, 0 in the middle) back to the drawing's pixels.
    reach = max(height, width) * (1.25 + SCALE * scale)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, SHEAR * shear], [0, 1]])
    matrix = matrix @ np.diag([1 + 0.15 * stretch, 1 - 0.15 * stretch]) * reach / (size * _SAMPLES)
    a, b, c, d = np.rint(matrix * _ONE).astype(np.int64).ravel()
    side = size * _SAMPLES
    column = np.arange(side)[None, :] - side // 2 - round(SHIFT * x * side)
    row = np.arange(side)[:, None] - side // 2 - round(SHIFT * y * side)
    across = (a * column + b * row) // _ONE + width // 2
    down = (c * column + d * row) // _ONE + height // 2
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    samples = np.where(inside, ink[down.clip(0, height - 1), across.clip(0, width - 1)], 0).astype(np.int64)
    pixels = samples.reshape(size, _SAMPLES, size, _SAMPLES).sum((1, 3)) // _SAMPLES**2
    # The sum of two even distributions, as integers: no machine rounds it otherwise.
    noise = random.integers(-NOISE, NOISE + 1, (2, size, size)).sum(0)
    return (pixels + noise).clip(0, 255).astype(np.uint8)
