"""The data set `glyphs`: sizes, determinism, and the rule by which look-alikes are left out."""

import string
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.config.params import DatasetRef
from benchmark.data import check_ref, load
from benchmark.data.base import Places
from benchmark.data.sets import glyphs
from benchmark.errors import BenchError

NOWHERE = Places((), Path("nowhere"), lambda _message, _share: None)
UPRIGHT = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif")
SIZES = {
    **{"latin": 43, "greek": 41, "cyrillic": 45, "armenian": 70, "georgian": 41, "ipa": 96, "arrows": 111, "math": 193},
    **{"cyrillic-extended": 108, "lao": 46, "currency": 26},
}


def test_blocks_have_these_sizes_and_share_no_character() -> None:
    assert {name: len(characters) for name, characters in glyphs.BLOCKS.items()} == SIZES
    every = "".join(glyphs.BLOCKS.values())
    assert len(set(every)) == len(every) == sum(SIZES.values())
    only_smaller = set("cosuvwxz") | {"l"}
    assert glyphs.BLOCKS["latin"] == "".join(one for one in string.ascii_letters.swapcase() if one not in only_smaller)


def test_a_block_is_read_as_any_other_set() -> None:
    data = load(DatasetRef(name="glyphs:greek", classes=[0, 3]))
    assert data.classes == ("\N{GREEK CAPITAL LETTER GAMMA}", "\N{GREEK CAPITAL LETTER LAMDA}")
    assert data.images.shape == (160, 1, 16, 16) and data.labels.bincount().tolist() == [80, 80]
    assert "DejaVu" in data.licence and "matplotlib" in data.source


def test_the_source_has_more_images() -> None:
    images = glyphs.render("latin", 16, NOWHERE)
    assert images.shape == (43 * 300, 16, 16) and images.dtype == np.uint8


def test_equal_seeds_give_equal_pixels_and_images_differ() -> None:
    once, again = (glyphs.render("currency", 16, NOWHERE) for _ in range(2))
    assert np.array_equal(once, again)
    assert len({image.tobytes() for image in once}) == len(once)


def test_another_rendering_is_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "NOISE", 31.0)
    with pytest.raises(BenchError, match=r"^glyphs:currency: renders to other pixels than recorded .* requirements"):
        glyphs.Glyphs.open("currency", NOWHERE)
    # Of another size nothing is recorded.
    assert next(glyphs.Glyphs.open("currency:24", NOWHERE).read(np.array([0]))).shape == (24, 24)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glyphs:greec", "unknown block of glyphs 'greec'; did you mean 'greek'"),
        ("glyphs:greek:4", "glyphs of '4' pixels; expected a size from 8 to 64"),
        ("glyphs:greek:big", "glyphs of 'big' pixels"),
        ("glyphs", "unknown block of glyphs ''"),
    ],
)
def test_what_is_no_block_is_refused(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        check_ref(DatasetRef(name=name), "source")


def drawn(face: glyphs.Face, character: str) -> NDArray[np.float64]:
    image = np.asarray(face.draw(character), np.float64).ravel()
    return image / np.linalg.norm(image)


def alike(one: str, other: str, faces: list[glyphs.Face]) -> bool:
    both = [face for face in faces if face.has(one) and face.has(other)]
    return any(float(drawn(face, one) @ drawn(face, other)) > glyphs.ALIKE for face in both)


@pytest.fixture(scope="module")
def faces() -> list[glyphs.Face]:
    return [glyphs.Face(name) for name in UPRIGHT]


def test_the_rule_on_letters_that_everybody_knows(faces: list[glyphs.Face]) -> None:
    for latin, twin in (("A", "\u0391"), ("A", "\u0410"), ("o", "\u043e"), ("P", "\u03a1"), ("H", "\u041d")):
        assert alike(latin, twin, faces)
        assert all(twin not in characters for characters in glyphs.BLOCKS.values())
    for latin, kept in (("R", "\u042f"), ("N", "\u0418"), ("a", "\u03b1"), ("O", "\u03a6")):
        assert not alike(latin, kept, faces)
        assert any(kept in characters for characters in glyphs.BLOCKS.values())


@pytest.mark.parametrize("block", [name for name in glyphs.BLOCKS if name != "latin"])
def test_no_character_looks_like_a_latin_letter_or_like_another(block: str, faces: list[glyphs.Face]) -> None:
    characters = glyphs.BLOCKS[block]
    known = [
        (face.has, {one: drawn(face, one) for one in string.ascii_letters + characters if face.has(one)})
        for face in faces
    ]
    for place, one in enumerate(characters):
        for other in [*string.ascii_letters, *characters[:place]]:
            cosines = [float(rows[one] @ rows[other]) for rows in known if one in rows and other in rows]
            assert not cosines or max(cosines) <= glyphs.ALIKE, (one, other)


def test_every_character_is_in_enough_faces() -> None:
    every = [glyphs.Face(name) for name in glyphs.FACES]
    for characters in glyphs.BLOCKS.values():
        assert all(sum(face.has(one) for face in every) >= glyphs.ENOUGH for one in characters)
