"""`torchvision:NAME`: the well-known image classification sets, from their official files."""

from typing import ClassVar

import numpy as np

from benchmark.data.base import Dataset, Places, Stored
from benchmark.data.catalogue import CATALOGUE
from benchmark.data.download import fetch
from benchmark.errors import unknown


class Torchvision(Dataset):
    """A set of torchvision's catalogue, training part first, then the test part; pixels as torchvision gives them.

    NAME is torchvision's class name; `EMNIST:SPLIT` is one of the other splits of EMNIST (balanced without it), and
    `CIFAR100:coarse` has the 20 superclasses. In a mirror the files lie in NAME/, or NAME/raw/ for the MNIST family.
    """

    name: ClassVar[str] = "torchvision"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """Return one name per set."""
        return tuple(f"{cls.name}:{name}" for name in CATALOGUE)

    @classmethod
    def check(cls, option: str, where: str) -> int:
        """Return the number of classes of a known set."""
        if option not in CATALOGUE:
            raise unknown("torchvision data set", option, CATALOGUE, where)
        return CATALOGUE[option].classes

    @classmethod
    def open(cls, option: str, places: Places) -> Stored:
        """Fetch the official files, unpack archives to the downloads folder, and read the labels."""
        entry, name = CATALOGUE[option], f"{cls.name}:{option}"
        files = [fetch(name, file, places) for file in entry.files]
        (labels, read), classes = entry.read(files, places.downloads / option.partition(":")[0] / "unpacked")
        found = (len(labels), len(classes), len(np.unique(labels)))
        expected = (entry.count, entry.classes, entry.classes)
        assert found == expected, f"{name}: {found} images and classes, {expected} expected"
        return Stored(
            labels=labels,
            classes=tuple(classes),
            read=read,
            licence=entry.licence,
            citation=entry.citation,
            source="official files, MD5 " + ", ".join(file.md5 for file in entry.files),
        )
