"""Image files: their pixels, one file or many."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_GREY = frozenset({"1", "L", "LA"})
_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION = 0x0112
_BITS = 0x0102
# The most files that one message names.
_NAMED = 20


def decode(image: Path | bytes, where: str) -> NDArray[np.uint8]:
    """Return the pixels of an encoded image: uint8 [H, W] if it is grey, [H, W, 3] RGB otherwise.

    Where it is not opaque, alpha comes last: [H, W, 2] or [H, W, 4]. Turned upright as its EXIF orientation says;
    16-bit grey keeps its upper 8 bits; of an animation the first frame counts. `BenchError` that begins with `where`
    if it cannot be read, whatever the reason.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata, which do not matter here, and about large images.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
                opened.load()
                return _pixels(_upright(opened))
    # Decoders of damaged files raise whatever their arithmetic meets: struct.error, TypeError, IndexError, ...
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "of no known format" if unknown else str(error).partition("\n")[0] or type(error).__name__
        raise BenchError(f"{where}: not a readable image ({reason}); repair it or take it out") from error


def decode_all(images: Iterable[tuple[Path | bytes, str]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of encoded images, each given with its `where`; see `decode`.

    One that cannot be read does not end it: all are tried first, and one `BenchError` at the end names all that failed.
    """
    failures = []
    for image, where in images:
        try:
            pixels = decode(image, where)
        except BenchError as error:
            failures.append(str(error))
        else:
            yield pixels
    if len(failures) == 1:
        raise BenchError(failures[0])
    if failures:
        more = f" | and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
        raise BenchError(f"{len(failures)} images cannot be read: {' | '.join(failures[:_NAMED])}{more}")


def reader(paths: Sequence[Path]) -> Callable[[NDArray[np.int64]], Iterator[NDArray[np.uint8]]]:
    """Return the function that yields the pixels of the files at given positions, one after the other."""

    def read(rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        return decode_all((paths[row], str(paths[row])) for row in rows.tolist())

    return read


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says; no other tag is looked at, so none can be an obstacle."""
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata that are none: the pixels stand as they are
        turn = None
    return image if turn is None else image.transpose(turn)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    # Pillow reads what a PGM file has of 16 bits as whole numbers.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _deep_grey(image)
    if image.mode in {"I", "F"}:
        raise ValueError(f"its pixels are of mode {image.mode!r}, not of 8 or 16 bits")
    grey = image.mode in _GREY
    if image.mode in _ALPHA or "transparency" in image.info:
        # By way of RGBA: Pillow applies a palette's or a colour key's transparency only there.
        pixels = np.asarray(image.convert("RGBA"))
        if pixels[..., 3].min() < 255:
            return pixels[..., [0, 3]] if grey else pixels
    return np.asarray(image.convert("L" if grey else "RGB"))


def _deep_grey(image: Image.Image) -> NDArray[np.uint8]:
    """The upper 8 bits of grey of up to 16: [H, W], or [H, W, 2] where one of its values is transparent."""
    values = np.asarray(image)
    # Such a TIFF file says of how many bits its values are; a file of any other format has 16.
    bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))
    grey = (values >> max((bits[0] if isinstance(bits, tuple) else bits) - 8, 0)).astype(np.uint8)
    hidden = image.info.get("transparency")
    if not isinstance(hidden, int) or not (values == hidden).any():
        return grey
    return np.stack([grey, np.where(values == hidden, 0, 255).astype(np.uint8)], axis=-1)
