"""Omniglot's two small background sets: handwritten characters of eight alphabets, 20 drawings each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmark.data.archives import unpack
from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.catalogue import CATALOGUE
from benchmark.data.download import RemoteFile, fetch
from benchmark.data.image_files import reader
from benchmark.data.image_folders import labelled
from benchmark.errors import unknown

_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_FILES = tuple(
    RemoteFile(f"omniglot_small/{name}", (_URL + name,), md5)
    for name, md5 in (
        ("images_background_small1.zip", "e704a628b5459e08445c13499850abc4"),
        ("images_background_small2.zip", "b75a71a51d3b13f821f212756fe481fd"),
    )
)
# Alphabet: characters, and the archive it is read from. Greek and Latin are in both, with the same drawings.
_ALPHABETS = {
    "Balinese": (24, 0),
    "Early_Aramaic": (22, 0),
    "Greek": (24, 0),
    "Japanese_(katakana)": (47, 1),
    "Korean": (40, 0),
    "Latin": (26, 0),
    "Sanskrit": (42, 1),
    "Tagalog": (17, 1),
}


class OmniglotSmall(Dataset):
    """4,840 grey drawings, black on white, 105 x 105 pixels: 242 characters of eight alphabets, each drawn 20 times.

    `omniglot_small` is all characters as one flat task, `omniglot_small:ALPHABET` the characters of one alphabet.
    """

    name: ClassVar[str] = "omniglot_small"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return the flat name and one name per alphabet."""
        return (cls.name, *(f"{cls.name}:{alphabet}" for alphabet in _ALPHABETS))

    @classmethod
    def check(cls, option: str, where: str) -> int:
        """Return the number of characters."""
        if option and option not in _ALPHABETS:
            raise unknown("alphabet", option, _ALPHABETS, where)
        return sum(_ALPHABETS[alphabet][0] for alphabet in _alphabets(option))

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:
        """Fetch and unpack the two archives."""
        tops = []
        for file in _FILES:
            archive = fetch(cls.name, file, places)
            tops.append(unpack(archive, places.downloads / cls.name / archive.stem) / archive.stem)
        characters: list[Path] = []
        for alphabet in _alphabets(option):
            count, archive_number = _ALPHABETS[alphabet]
            characters += [tops[archive_number] / alphabet / f"character{i:02d}" for i in range(1, count + 1)]
        paths, labels = labelled(characters)
        return Stored(
            labels=labels,
            classes=tuple(f"{path.parent.name}/{path.name}" for path in characters),
            read=reader(paths),
            licence="MIT",
            citation=CATALOGUE["Omniglot"].citation,
            source="official files, MD5 " + ", ".join(file.md5 for file in _FILES),
        )


def _alphabets(option: str) -> Sequence[str]:
    return [option] if option else list(_ALPHABETS)
