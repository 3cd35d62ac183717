"""Sign Language Digits: photographs of hands that show the digits 0 to 9."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from benchmark.data.base import Places, Stored
from benchmark.data.fixed import PlainDataset
from benchmark.data.image_files import reader
from benchmark.data.image_folders import labelled
from benchmark.errors import BenchError
from benchmark.files import canonical_json, file_sha256, sha256

_FOLDER = "sign_language_digits/Dataset"
_CONTENT = "78f5118844b8c008edeb01f37f56e43c1275d357f6445dcb45bdd1cf55d57372"


class SignLanguageDigits(PlainDataset):
    """2,062 RGB photographs of ten classes, 204 to 208 each; 100 x 100 pixels but for three of 3024 x 3024.

    Three photographs are larger, so a reference needs a `size`. There is no official archive with a checksum: the
    folder `sign_language_digits/Dataset/CLASS` is looked for in the mirrors, and its content has to be the authors'.
    """

    name: ClassVar[str] = "sign_language_digits"
    count: ClassVar[int] = 10

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:  # noqa: ARG003
        """Find the folder in a mirror and check its content."""
        candidates = [Path(mirror).expanduser() / _FOLDER for mirror in places.mirrors]
        folder = next((path for path in candidates if path.is_dir()), None)
        if folder is None:
            looked = ", ".join(places.mirrors) or "no mirror"
            raise BenchError(
                f"{cls.name}: {_FOLDER} is not in {looked}, and it has no official archive to download; get the folder "
                "`Dataset` from github.com/ardamavi/Sign-Language-Digits-Dataset, put it there and name the mirror in "
                "DAPBENCH_MIRRORS or data.mirrors"
            )
        paths, labels = labelled([folder / str(digit) for digit in range(10)])
        content = sha256(canonical_json([[str(path.relative_to(folder)), file_sha256(path)] for path in paths]))
        if content != _CONTENT:
            raise BenchError(
                f"{cls.name}: {folder} holds {len(paths)} images, not the authors' 2062 (content {content[:12]}, "
                f"expected {_CONTENT[:12]}); restore the folder"
            )
        return Stored(
            labels=labels,
            classes=tuple(str(digit) for digit in range(10)),
            read=reader(paths),
            licence="Apache-2.0",
            citation="A. Mavi, A New Dataset and Proposed Convolutional Neural Network Architecture for Classification "
            "of American Sign Language Digits, 2020, arXiv 2011.08927",
            source=f"the authors' files, content {content}",
        )
