"""Glyphs: counts, content, the rule for look-alikes."""

import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmark.config.params import DatasetRef
from benchmark.data import load
from benchmark.data.base import Places
from benchmark.data.fonts import ALIKE, ENOUGH_FACES, alike, distinct, faces_of
from benchmark.data.sets import glyphs
from benchmark.data.sets.glyphs import BLOCKS, TUNING, Glyphs
from benchmark.errors import BenchError

SIZES = {
    "latin": 44,
    "greek": 66,
    "cyrillic": 82,
    "armenian": 46,
    "georgian": 59,
    "latin-extended": 153,
    "ipa": 50,
    "math": 138,
    "arrows": 86,
    "lao": 16,
    "shapes": 121,
    "symbols": 140,
}


def test_every_block_has_this_many_characters_and_shares_none() -> None:
    assert {name: Glyphs.check(name, "here") for name in BLOCKS} == SIZES
    assert set(BLOCKS) > TUNING
    everything = "".join(block.characters for block in BLOCKS.values())
    assert len(set(everything)) == len(everything) == sum(SIZES.values())
    assert min(len(faces_of(character)) for character in everything) >= ENOUGH_FACES


@pytest.mark.parametrize(("option", "size", "count"), [("latin", 16, 300), ("lao", 16, 100), ("lao@32", 32, 100)])
def test_a_block_has_these_images(option: str, size: int, count: int) -> None:
    data = load(DatasetRef(name=f"glyphs:{option}"))
    classes = SIZES[option.partition("@")[0]]
    assert list(data.images.shape) == [classes * count, 1, size, size]
    assert data.labels.bincount().tolist() == [count] * classes
    assert "DejaVu" in data.licence
    # White on black: most of a picture is background, and its brightest pixel is ink.
    assert float(data.images.float().median()) < 128 < int(data.images.max())


def test_drawing_again_gives_the_same_pixels() -> None:
    first = glyphs.draw("lao", 16).copy()
    glyphs.draw.cache_clear()
    assert np.array_equal(first, glyphs.draw("lao", 16))


def test_other_pixels_than_recorded_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BLOCKS, "lao", replace(BLOCKS["lao"], digests={16: "0" * 64}))
    with pytest.raises(BenchError, match=r"^glyphs:lao: Pillow .* FreeType .* install the versions of requirements"):
        Glyphs.open("lao", Places())


@pytest.mark.parametrize("option", ["", "latn", "latin@17", "latin@16@16"])
def test_an_unknown_block_is_refused(option: str) -> None:
    with pytest.raises(BenchError, match=r"^here: unknown block of glyphs"):
        Glyphs.check(option, "here")


def test_the_recorded_characters_follow_the_rule() -> None:
    for name, characters in islice(glyphs.choose(), 5):
        assert characters == BLOCKS[name].characters, name


@pytest.mark.parametrize("pair", ["oO", "cC", "sS", "vV", "wW", "xX", "zZ", "A\u0391", "A\u0410", "\u03a0\u041f"])
def test_these_look_alike(pair: str) -> None:
    assert alike(*pair) == alike(*reversed(pair)) >= ALIKE
    assert distinct(list(pair)) == [pair[0]]
    assert distinct([pair[1]], taken=[pair[0]]) == []


# Another letter, another width for its height (hyphen and full block), a stroke more (E and F).
@pytest.mark.parametrize("pair", ["aA", "kK", "EF", "OQ", "il", "-\u2588", "V\u039b"])
def test_these_do_not_look_alike(pair: str) -> None:
    assert alike(*pair) < ALIKE
    assert distinct(list(pair)) == list(pair)


def test_the_source_leaves_out_the_letters_that_differ_by_size_only() -> None:
    letters = set(BLOCKS["latin"].candidates())
    assert len(letters) == 52
    assert letters - set(BLOCKS["latin"].characters) == set("cosuvwxz")


def test_drawing_imports_no_matplotlib(tmp_path: Path) -> None:
    code = (
        "import sys; from benchmark.data.sets.glyphs import draw; draw('lao', 16); "
        "assert not [name for name in sys.modules if name.startswith('matplotlib')]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
