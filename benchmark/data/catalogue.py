"""The data sets of `torchvision:NAME`: official files, checksums, counts, licences, citations.

Read from the official archives by this package's own readers: torchvision's unpickle some of them. The training and
test parts follow one another as one set, because this suite makes its own splits by seed.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data import formats
from benchmark.data.archives import unpack
from benchmark.data.download import RemoteFile
from benchmark.data.image_files import reader
from benchmark.data.image_folders import labelled, subfolders

if TYPE_CHECKING:
    from benchmark.data.formats import Part

# The fetched files and a folder to unpack them to; the images and the names of the classes.
Reader = Callable[[list[Path], Path], "tuple[Part, Sequence[str]]"]


@dataclass(frozen=True)
class Entry:
    """A published data set: `count` images of `classes` classes in `files`."""

    classes: int
    count: int
    files: tuple[RemoteFile, ...]
    read: Reader
    licence: str
    citation: str


def _files(folder: str, base: str, *named: tuple[str, str]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(f"{folder}/{name}", (base + name,), md5) for name, md5 in named)


def _mnist_files(folder: str, bases: Sequence[str], *md5s: str) -> tuple[RemoteFile, ...]:
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return tuple(
        RemoteFile(f"{folder}/raw/{name}", tuple(base + name for base in bases), md5)
        for name, md5 in zip(names, md5s, strict=True)
    )


def _mnist(names: Sequence[str], files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:  # noqa: ARG001
    return formats.chain([formats.idx(files[0], files[1]), formats.idx(files[2], files[3])]), names


def _emnist(split: str, names: str, files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    prefix = f"gzip/emnist-{split}-"
    root = unpack(files[0], folder / split, lambda name: name.startswith(prefix))
    labels, read = formats.chain(
        [
            formats.idx(root / f"{prefix}{part}-images-idx3-ubyte.gz", root / f"{prefix}{part}-labels-idx1-ubyte.gz")
            for part in ("train", "test")
        ]
    )
    # The letters count from 1.
    return (labels - labels.min(), read), names


def _usps(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:  # noqa: ARG001
    return formats.chain([formats.usps(path) for path in files]), string.digits


def _svhn(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:  # noqa: ARG001
    return formats.chain([formats.svhn(path) for path in files]), string.digits


def _cifar10(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    root = unpack(files[0], folder) / "cifar-10-batches-bin"
    names = (root / "batches.meta.txt").read_text().split()
    parts = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return formats.chain([formats.cifar(root / part, 1, 0) for part in parts]), names


def _cifar100(kind: str, files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    root = unpack(files[0], folder) / "cifar-100-binary"
    names = (root / f"{kind}_label_names.txt").read_text().split()
    label = 0 if kind == "coarse" else 1
    return formats.chain([formats.cifar(root / part, 2, label) for part in ("train.bin", "test.bin")]), names


def _stl10(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    root = unpack(files[0], folder, lambda name: "unlabeled" not in name) / "stl10_binary"
    names = (root / "class_names.txt").read_text().split()
    return formats.chain(
        [formats.stl10(root / f"{part}_X.bin", root / f"{part}_y.bin") for part in ("train", "test")]
    ), names


def _folders(classes: Sequence[Path], top: Path) -> tuple[Part, Sequence[str]]:
    paths, labels = labelled(classes)
    return (labels, reader(paths)), [str(path.relative_to(top)) for path in classes]


def _omniglot(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    tops = [unpack(path, folder / path.stem) / path.stem for path in files]
    characters = [character for top in tops for alphabet in subfolders(top) for character in subfolders(alphabet)]
    paths, labels = labelled(characters)
    return (labels, reader(paths)), [f"{path.parent.name}/{path.name}" for path in characters]


def _dtd(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    top = unpack(files[0], folder) / "dtd" / "images"
    return _folders(subfolders(top), top)


def _eurosat(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    top = unpack(files[0], folder) / "2750"
    return _folders(subfolders(top), top)


def _caltech101(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    name = "101_ObjectCategories"
    outer = unpack(files[0], folder / "archive", lambda member: member == f"caltech-101/{name}.tar.gz")
    top = unpack(outer / "caltech-101" / f"{name}.tar.gz", folder / "images") / name
    # Not a category, but pictures of anything.
    return _folders([path for path in subfolders(top) if path.name != "BACKGROUND_Google"], top)


def _flowers102(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    from scipy.io import loadmat

    labels = loadmat(files[1])["labels"].ravel().astype(np.int64) - 1
    top = unpack(files[0], folder) / "jpg"
    paths = [top / f"image_{number:05d}.jpg" for number in range(1, len(labels) + 1)]
    return (labels, reader(paths)), [str(number) for number in range(1, 103)]


def _pets(files: list[Path], folder: Path) -> tuple[Part, Sequence[str]]:
    lists = unpack(files[1], folder / "annotations", lambda name: name.endswith(".txt")) / "annotations"
    rows = [line.split() for part in ("trainval", "test") for line in (lists / f"{part}.txt").read_text().splitlines()]
    top = unpack(files[0], folder / "images") / "images"
    names = {int(row[1]): row[0].rpartition("_")[0] for row in rows}
    labels = np.array([int(row[1]) - 1 for row in rows], dtype=np.int64)
    return (labels, reader([top / f"{row[0]}.jpg" for row in rows])), [names[number] for number in sorted(names)]


_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_MERGED = "".join(sorted(set(string.digits + string.ascii_letters) - set("cijklmopsuvwxyz")))
_EMNIST = {
    "balanced": (131_600, _MERGED),
    "byclass": (814_255, string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "bymerge": (814_255, _MERGED),
    "letters": (145_600, string.ascii_lowercase),
    "digits": (280_000, string.digits),
    "mnist": (70_000, string.digits),
}
_EMNIST_FILE = _files(
    "EMNIST/raw", "https://biometrics.nist.gov/cs_links/EMNIST/", ("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")
)
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_CIFAR100_FILE = _files("CIFAR100", _CIFAR, ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"))
_CIFAR_CITATION = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_OXFORD = "https://www.robots.ox.ac.uk/~vgg/"
_NONE = "none stated"

CATALOGUE: dict[str, Entry] = {
    "MNIST": Entry(
        10,
        70_000,
        _mnist_files(
            "MNIST",
            ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"],
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        partial(_mnist, string.digits),
        "CC BY-SA 3.0",
        "Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST Database of Handwritten Digits, 1998",
    ),
    "FashionMNIST": Entry(
        10,
        70_000,
        _mnist_files(
            "FashionMNIST",
            ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        partial(_mnist, _FASHION),
        "MIT",
        "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017, arXiv 1708.07747",
    ),
    "KMNIST": Entry(
        10,
        70_000,
        _mnist_files(
            "KMNIST",
            ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        partial(_mnist, ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
        "CC BY-SA 4.0",
        "T. Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018, arXiv 1812.01718",
    ),
    **{
        "EMNIST" if split == "balanced" else f"EMNIST:{split}": Entry(
            len(names),
            count,
            _EMNIST_FILE,
            partial(_emnist, split, names),
            _NONE,
            "G. Cohen et al., EMNIST: an extension of MNIST to handwritten letters, 2017, arXiv 1702.05373",
        )
        for split, (count, names) in _EMNIST.items()
    },
    "USPS": Entry(
        10,
        9_298,
        _files(
            "USPS",
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",
            ("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
            ("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
        ),
        _usps,
        _NONE,
        "J. J. Hull, A Database for Handwritten Text Recognition Research, IEEE TPAMI 16(5), 1994",
    ),
    "SVHN": Entry(
        10,
        99_289,
        _files(
            "SVHN",
            "http://ufldl.stanford.edu/housenumbers/",
            ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        ),
        _svhn,
        "non-commercial use",
        "Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop, 2011",
    ),
    "CIFAR10": Entry(
        10,
        60_000,
        _files("CIFAR10", _CIFAR, ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")),
        _cifar10,
        _NONE,
        _CIFAR_CITATION,
    ),
    "CIFAR100": Entry(100, 60_000, _CIFAR100_FILE, partial(_cifar100, "fine"), _NONE, _CIFAR_CITATION),
    "CIFAR100:coarse": Entry(20, 60_000, _CIFAR100_FILE, partial(_cifar100, "coarse"), _NONE, _CIFAR_CITATION),
    "STL10": Entry(
        10,
        13_000,
        _files(
            "STL10",
            "http://ai.stanford.edu/~acoates/stl10/",
            ("stl10_binary.tar.gz", "91f7769df0f17e558f3565bffb0c7dfb"),
        ),
        _stl10,
        _NONE,
        "A. Coates, H. Lee and A. Y. Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, 2011",
    ),
    "Omniglot": Entry(
        1_623,
        32_460,
        _files(
            "Omniglot",
            "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
            ("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718"),
            ("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811"),
        ),
        _omniglot,
        "MIT",
        "B. M. Lake, R. Salakhutdinov and J. B. Tenenbaum, Human-level concept learning through probabilistic program "
        "induction, Science 350, 2015",
    ),
    "DTD": Entry(
        47,
        5_640,
        _files("DTD", _OXFORD + "data/dtd/download/", ("dtd-r1.0.1.tar.gz", "fff73e5086ae6bdbea199a49dfb8a4c1")),
        _dtd,
        "research use",
        "M. Cimpoi et al., Describing Textures in the Wild, CVPR 2014",
    ),
    "Flowers102": Entry(
        102,
        8_189,
        _files(
            "Flowers102",
            _OXFORD + "data/flowers/102/",
            ("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
            ("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
        ),
        _flowers102,
        _NONE,
        "M.-E. Nilsback and A. Zisserman, Automated Flower Classification over a Large Number of Classes, 2008",
    ),
    "OxfordIIITPet": Entry(
        37,
        7_349,
        _files(
            "OxfordIIITPet",
            _OXFORD + "data/pets/data/",
            ("images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            ("annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
        _pets,
        "CC BY-SA 4.0",
        "O. M. Parkhi et al., Cats and Dogs, CVPR 2012",
    ),
    "Caltech101": Entry(
        101,
        8_677,
        _files(
            "Caltech101",
            "https://data.caltech.edu/records/mzrjq-6wc02/files/",
            ("caltech-101.zip", "3138e1922a9193bfa496528edbbc45d0"),
        ),
        _caltech101,
        "CC BY 4.0",
        "L. Fei-Fei, R. Fergus and P. Perona, Learning Generative Visual Models from Few Training Examples, 2004",
    ),
    "EuroSAT": Entry(
        10,
        27_000,
        _files(
            "EuroSAT",
            "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/",
            ("EuroSAT.zip", "c8fa014336c82ac7804f0398fcb19387"),
        ),
        _eurosat,
        "MIT",
        "P. Helber et al., EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover "
        "Classification, 2019, arXiv 1709.00029",
    ),
}
