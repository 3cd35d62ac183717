"""The official files of the published sets, where a mirror has them: exact sizes, and the digest of all pixels."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest
import torch

from benchmark.config.params import DatasetRef
from benchmark.data import load, open_prepared, prepare


def mirrored(path: str) -> None:
    mirrors = os.environ.get("DAPBENCH_MIRRORS", "")
    if not any((Path(mirror) / path).exists() for mirror in mirrors.split(os.pathsep) if mirror):
        pytest.skip(f"needs the official files: no folder of DAPBENCH_MIRRORS ({mirrors or 'unset'}) holds {path}")


OFFICIAL = [
    # reference, file in the mirror, shape, images per class, digest
    (
        {"name": "torchvision:MNIST"},
        "MNIST/raw",
        (70000, 1, 28, 28),
        [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
        "0addc752769c8dbac1cca622dba5ac487f0f4545c652e4e9a315165f87132ffd",
    ),
    (
        {"name": "torchvision:FashionMNIST", "size": 16},
        "FashionMNIST/raw",
        (70000, 1, 16, 16),
        [7000] * 10,
        "5f074653fa602872cd578e12b1f8f472b35da93609bb1501fc25448cccf63654",
    ),
    (
        {"name": "omniglot_small", "size": 28},
        "omniglot_small",
        (4840, 1, 28, 28),
        [20] * 242,
        "8ba990f5eb3bdb88ea40e646266e5d9bc77028e860eac84d80625aabe94a16d5",
    ),
    (
        {"name": "omniglot_small:Tagalog"},
        "omniglot_small",
        (340, 1, 105, 105),
        [20] * 17,
        "3c061c5c52ed24d149ec0cdf7bc676f428f92a9c0af6f7c2297af285d4e44f95",
    ),
    (
        {"name": "cifar10"},
        "cifar10",
        (50000, 3, 32, 32),
        [5000] * 10,
        "48ed56a255fcadbe0ab9cf85132e83a0fa476e14c7f8cc0efc8933704f70af1f",
    ),
    (
        {"name": "sign_language_digits", "size": 32, "channels": "grey"},
        "sign_language_digits",
        (2062, 1, 32, 32),
        [205, 206, 206, 206, 207, 207, 207, 206, 208, 204],
        # JPEG pixels depend on the decoder: not pinned.
        None,
    ),
]


@pytest.mark.parametrize(("ref", "path", "shape", "per_class", "digest"), OFFICIAL, ids=lambda v: str(v)[:40])
def test_official_files(
    ref: dict[str, object], path: str, shape: tuple[int, ...], per_class: list[int], digest: str | None, tmp_path: Path
) -> None:
    mirrored(path)
    reference = DatasetRef.model_validate(ref)
    manifest = prepare(reference, tmp_path)
    assert (manifest["count"], *manifest["shape"]) == shape
    assert manifest["per_class"] == per_class
    assert manifest["duplicates"] == 0
    assert manifest["digest"] == (digest or manifest["digest"])
    data = open_prepared(reference, tmp_path)
    assert tuple(data.images.shape) == shape
    assert torch.bincount(data.labels).tolist() == per_class


def test_greek_and_latin_are_in_both_archives_of_omniglot_with_the_same_drawings() -> None:
    mirrored("omniglot_small")
    mirrors = [Path(mirror) for mirror in os.environ["DAPBENCH_MIRRORS"].split(os.pathsep)]
    folder = next(mirror for mirror in mirrors if (mirror / "omniglot_small").exists()) / "omniglot_small"
    contents = []
    for number in (1, 2):
        with zipfile.ZipFile(folder / f"images_background_small{number}.zip") as bundle:
            names = [name for name in bundle.namelist() if name.endswith(".png")]
            contents.append({name.partition("/")[2]: bundle.read(name) for name in names})
    both = contents[0].keys() & contents[1].keys()
    assert {name.partition("/")[0] for name in both} == {"Greek", "Latin"}
    assert all(contents[0][name] == contents[1][name] for name in both)


def test_cifar10_of_the_mirror_has_its_published_pixels(tmp_path: Path) -> None:
    mirrored("cifar10/test-00000-of-00001.parquet")
    mirrors = [Path(mirror) for mirror in os.environ["DAPBENCH_MIRRORS"].split(os.pathsep)]
    folder = next(mirror for mirror in mirrors if (mirror / "cifar10").exists()) / "cifar10"
    data = load(DatasetRef(name=f"parquet:{folder}/test-00000-of-00001.parquet"))
    assert tuple(data.images.shape) == (1000, 3, 32, 32)
    assert data.classes[:2] == ("airplane", "automobile")
    pixels = data.images.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    assert hashlib.sha256(pixels).hexdigest() == "da362006b99671213d1a5d856cab2bedf64d40bad4501630ee60f4ceb2d3ec7f"
