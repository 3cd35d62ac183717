"""The published sets: their readers on small generated files."""

import bz2
import dataclasses
import gzip
import hashlib
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from benchmark.config.params import DatasetRef
from benchmark.data import load, open_prepared, prepare
from benchmark.data.catalogue import CATALOGUE
from benchmark.data.download import RemoteFile
from benchmark.data.sets import cifar10
from benchmark.errors import BenchError

Array = NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(value: int, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (4, 4), value if mode == "L" else (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def idx(images: Array, labels: list[int]) -> tuple[bytes, bytes]:
    head = struct.pack(">4I", 0x803, *images.shape)
    return (
        gzip.compress(head + images.tobytes()),
        gzip.compress(struct.pack(">2I", 0x801, len(labels)) + bytes(labels)),
    )


def tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as ball:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            ball.addfile(info, io.BytesIO(content))
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return file.getvalue()


def mat(**arrays: Array) -> bytes:
    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


Small = Callable[[str, int, int, list[bytes]], DatasetRef]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """Puts generated files in the place of a published set's official ones, in a mirror."""

    def make(name: str, classes: int, count: int, contents: list[bytes]) -> DatasetRef:
        entry = CATALOGUE[name]
        files = []
        for file, content in zip(entry.files, contents, strict=True):
            path = tmp_path / "mirror" / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            files.append(RemoteFile(file.path, (), hashlib.md5(content).hexdigest()))
        changed = dataclasses.replace(entry, files=tuple(files), classes=classes, count=count)
        monkeypatch.setitem(CATALOGUE, name, changed)
        monkeypatch.setenv("DAPBENCH_MIRRORS", str(tmp_path / "mirror"))
        monkeypatch.chdir(tmp_path)
        return DatasetRef(name=f"torchvision:{name}")

    return make


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files(small: Small, name: str) -> None:
    first, second = noise(6, 28, 28), noise(4, 28, 28, seed=1)
    ref = small(name, 10, 10, [*idx(first, [3, 1, 0, 9, 2, 4]), *idx(second, [5, 6, 7, 8])])
    data = load(ref)
    assert np.array_equal(data.images[:, 0].numpy(), np.concatenate([first, second]))
    assert data.labels.tolist() == [3, 1, 0, 9, 2, 4, 5, 6, 7, 8]
    part = load(DatasetRef(name=ref.name, classes=[8, 1, 0]))
    assert np.array_equal(part.images[:, 0].numpy(), np.stack([first[1], first[2], second[3]]))
    assert part.labels.tolist() == [1, 2, 0]
    assert part.classes == tuple(data.classes[label] for label in (8, 1, 0))


def test_emnist_letters_count_from_one(small: Small) -> None:
    images = noise(26, 28, 28)
    members = {}
    for part, rows in (("train", range(20)), ("test", range(20, 26))):
        pixels, labels = idx(images[list(rows)], [row + 1 for row in rows])
        members[f"gzip/emnist-letters-{part}-images-idx3-ubyte.gz"] = pixels
        members[f"gzip/emnist-letters-{part}-labels-idx1-ubyte.gz"] = labels
    members["gzip/emnist-digits-train-images-idx3-ubyte.gz"] = b"another split"
    data = load(small("EMNIST:letters", 26, 26, [zipped(members)]))
    assert np.array_equal(data.images[:, 0].numpy(), images)
    assert data.labels.tolist() == list(range(26))
    assert data.classes[0] == "a"
    assert not list(Path("data").rglob("emnist-digits*"))


def test_emnist_class_names() -> None:
    lengths = {name: entry.classes for name, entry in CATALOGUE.items() if name.startswith("EMNIST")}
    assert lengths == {
        "EMNIST": 47,
        "EMNIST:byclass": 62,
        "EMNIST:bymerge": 47,
        "EMNIST:letters": 26,
        "EMNIST:digits": 10,
        "EMNIST:mnist": 10,
    }


def test_usps_is_text(small: Small) -> None:
    def lines(labels: range) -> bytes:
        values = " ".join(f"{i + 1}:{v}" for i, v in enumerate([-1.0, 0.0, 1.0] + [-1.0] * 253))
        return bz2.compress("\n".join(f"{label} {values}" for label in labels).encode())

    data = load(small("USPS", 10, 10, [lines(range(1, 7)), lines(range(7, 11))]))
    assert data.labels.tolist() == list(range(10))
    assert data.images.shape == (10, 1, 16, 16)
    assert data.images[0, 0, 0, :4].tolist() == [0, 127, 255, 0]


def test_svhn_counts_the_zero_as_ten(small: Small) -> None:
    images = noise(10, 32, 32, 3)
    labels = np.array([10, 1, 2, 3, 4, 5, 6, 7, 8, 9], dtype=np.uint8)
    contents = [mat(X=images[rows].transpose(1, 2, 3, 0), y=labels[rows, None]) for rows in (slice(0, 6), slice(6, 10))]
    data = load(small("SVHN", 10, 10, contents))
    assert data.labels.tolist() == list(range(10))
    assert np.array_equal(data.images.numpy(), images.transpose(0, 3, 1, 2))


def test_cifar10_binary(small: Small) -> None:
    images = noise(12, 3, 32, 32)
    records = [bytes([row % 10]) + images[row].tobytes() for row in range(12)]
    names = list("abcdefghij")
    members = {f"data_batch_{i + 1}.bin": b"".join(records[2 * i : 2 * i + 2]) for i in range(5)}
    members |= {"test_batch.bin": b"".join(records[10:]), "batches.meta.txt": "\n".join([*names, "", ""]).encode()}
    ref = small("CIFAR10", 10, 12, [tar({f"cifar-10-batches-bin/{name}": value for name, value in members.items()})])
    data = load(ref)
    assert np.array_equal(data.images.numpy(), images)
    assert data.labels.tolist() == [*range(10), 0, 1]
    assert data.classes == tuple(names)
    root = Path("prepared")
    prepare(ref, root)
    assert torch.equal(open_prepared(ref, root).images, data.images)


def cifar10_archive(images: Array, names: tuple[str, ...] = cifar10.CLASSES) -> bytes:
    """The training images [10, 3, 32, 32], labelled 0 to 9 and two in each part, before a test part of one image."""
    records = [bytes([row]) + image.tobytes() for row, image in enumerate(images)]
    members = {f"data_batch_{i + 1}.bin": b"".join(records[2 * i : 2 * i + 2]) for i in range(5)}
    members |= {"test_batch.bin": records[0], "batches.meta.txt": "\n".join(names).encode()}
    return tar({f"cifar-10-batches-bin/{name}": value for name, value in members.items()})


def cifar10_parquet(folder: Path, images: Array, names: tuple[str, ...] = cifar10.CLASSES) -> None:
    """The same images in two Parquet files, beside one of test images."""
    folder.mkdir(parents=True)
    features = {"img": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for name, rows in (("test-0", range(1)), ("train-0", range(4)), ("train-1", range(4, len(images)))):
        values = []
        for row in rows:
            file = io.BytesIO()
            Image.fromarray(images[row].transpose(1, 2, 0)).save(file, "PNG")
            values.append({"bytes": file.getvalue(), "path": None})
        table = pa.table({"img": values, "label": list(rows)}).replace_schema_metadata(metadata)
        pq.write_table(table, folder / f"{name}.parquet")


@pytest.fixture
def ten_images(monkeypatch: pytest.MonkeyPatch) -> Array:
    """Ten images that stand for the training images of CIFAR-10."""
    images = noise(10, 3, 32, 32)
    pixels = images.transpose(0, 2, 3, 1).tobytes()
    monkeypatch.setattr(cifar10, "COUNT", 10)
    monkeypatch.setattr(cifar10, "PIXELS", hashlib.sha256(pixels).hexdigest())
    return images


def test_cifar10_is_the_same_from_both_copies(small: Small, ten_images: Array, tmp_path: Path) -> None:
    small("CIFAR10", 10, 11, [cifar10_archive(ten_images)])
    ref = DatasetRef(name="cifar10")
    official = load(ref)
    assert np.array_equal(official.images.numpy(), ten_images)
    assert official.labels.tolist() == list(range(10))
    assert official.classes[2:4] == ("bird", "cat")
    assert official.source.startswith("official archive, MD5 ")
    # A name that would be a pattern of its own.
    cifar10_parquet(tmp_path / "m[1]" / "cifar10", ten_images)
    parquet = load(ref, [str(tmp_path / "m[1]")])
    assert parquet.source.startswith("Parquet files of the Hugging Face Hub")
    assert (parquet.digest, parquet.classes) == (official.digest, official.classes)
    part = load(DatasetRef(name="cifar10", classes=[9, [4, 3]]), [str(tmp_path / "m[1]")])
    assert np.array_equal(part.images.numpy(), ten_images[[3, 4, 9]])
    assert part.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("copy", ["archive", "parquet"])
@pytest.mark.parametrize("classes", [None, [0, 1]])
def test_cifar10_with_other_pixels_is_refused(
    small: Small, ten_images: Array, tmp_path: Path, copy: str, classes: list[int | list[int]] | None
) -> None:
    # In an image that a subset of the classes leaves out.
    ten_images[9, 2, 31, 31] ^= 1
    if copy == "archive":
        small("CIFAR10", 10, 11, [cifar10_archive(ten_images)])
    else:
        cifar10_parquet(tmp_path / "mirror" / "cifar10", ten_images)
    with pytest.raises(BenchError, match=r"^cifar10: the images of .* have SHA-256 .* expected; restore") as caught:
        prepare(DatasetRef(name="cifar10", classes=classes), tmp_path / "data", [str(tmp_path / "mirror")])
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").glob("cifar10-*"))


def test_cifar10_with_other_images_or_classes_is_refused(ten_images: Array, tmp_path: Path) -> None:
    cifar10_parquet(tmp_path / "few" / "cifar10", ten_images[:9])
    with pytest.raises(BenchError, match=r"train-\*\.parquet holds 9 images .*; expected the 10 training images"):
        load(DatasetRef(name="cifar10"), [str(tmp_path / "few")])
    cifar10_parquet(tmp_path / "renamed" / "cifar10", ten_images, cifar10.CLASSES[::-1])
    with pytest.raises(BenchError, match="holds 10 images of the classes truck, ship"):
        load(DatasetRef(name="cifar10"), [str(tmp_path / "renamed")])


@pytest.mark.parametrize(("name", "classes", "label"), [("CIFAR100", 4, 1), ("CIFAR100:coarse", 2, 0)])
def test_cifar100_has_two_labels(small: Small, name: str, classes: int, label: int) -> None:
    images = noise(4, 3, 32, 32)
    records = [bytes([row // 2, row]) + images[row].tobytes() for row in range(4)]
    members = {
        "train.bin": b"".join(records[:3]),
        "test.bin": records[3],
        "fine_label_names.txt": b"a\nb\nc\nd\n",
        "coarse_label_names.txt": b"x\ny\n",
    }
    content = tar({f"cifar-100-binary/{name}": value for name, value in members.items()})
    data = load(small(name, classes, 4, [content]))
    assert np.array_equal(data.images.numpy(), images)
    assert data.labels.tolist() == ([0, 0, 1, 1] if label == 0 else [0, 1, 2, 3])
    assert data.classes == (("x", "y") if label == 0 else ("a", "b", "c", "d"))


def test_stl10_is_stored_by_columns(small: Small) -> None:
    images = noise(10, 3, 96, 96)
    members = {"class_names.txt": "\n".join("abcdefghij").encode(), "unlabeled_X.bin": b"0" * 100}
    for part, rows in (("train", slice(0, 6)), ("test", slice(6, 10))):
        members[f"{part}_X.bin"] = images[rows].transpose(0, 1, 3, 2).tobytes()
        members[f"{part}_y.bin"] = bytes(range(1, 11))[rows]
    data = load(small("STL10", 10, 10, [tar({f"stl10_binary/{name}": value for name, value in members.items()})]))
    assert np.array_equal(data.images.numpy(), images)
    assert data.labels.tolist() == list(range(10))
    assert not list(Path("data").rglob("unlabeled*"))


def test_omniglot_counts_characters(small: Small) -> None:
    contents = []
    for top, alphabets in (("images_background", ["B", "A"]), ("images_evaluation", ["C"])):
        members = {
            f"{top}/{alphabet}/character0{number}/{drawing}.png": png(ord(alphabet) + 10 * number + drawing)
            for alphabet in alphabets
            for number in (1, 2)
            for drawing in (1, 2)
        }
        contents.append(zipped(members))
    data = load(small("Omniglot", 6, 12, contents))
    assert data.classes == tuple(f"{alphabet}/character0{number}" for alphabet in "ABC" for number in (1, 2))
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert data.images[:3, 0, 0, 0].tolist() == [65 + 11, 65 + 12, 65 + 21]


@pytest.mark.parametrize(
    ("name", "pack", "top"), [("DTD", tar, "dtd/images"), ("EuroSAT", zipped, "2750"), ("Caltech101", None, "")]
)
def test_folders_of_classes(
    small: Small, name: str, pack: Callable[[dict[str, bytes]], bytes] | None, top: str
) -> None:
    members = {f"{label}/{label}_{i}.jpg": png(10 * i + ord(label), "RGB") for label in "ba" for i in (1, 2)}
    if pack is None:
        members["BACKGROUND_Google/1.jpg"] = png(1)
        inner = tar({f"101_ObjectCategories/{path}": value for path, value in members.items()})
        content = zipped({"caltech-101/101_ObjectCategories.tar.gz": inner, "caltech-101/Annotations.tar": b"no"})
    else:
        content = pack({f"{top}/{path}": value for path, value in members.items()})
    data = load(small(name, 2, 4, [content]))
    assert data.classes == ("a", "b")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.images[:, 0, 0, 0].tolist() == [107, 117, 108, 118]


def test_flowers_labels_are_in_a_matlab_file(small: Small) -> None:
    images = tar({f"jpg/image_{i:05d}.jpg": png(i, "RGB") for i in range(1, 103)})
    data = load(small("Flowers102", 102, 102, [images, mat(labels=np.arange(102, 0, -1, dtype=np.uint8)[None])]))
    assert data.images[:, 0, 0, 0].tolist() == list(range(1, 103))
    assert data.labels.tolist() == list(range(101, -1, -1))


def test_pets_are_listed_in_text_files(small: Small) -> None:
    images = tar({f"images/{name}.jpg": png(i, "RGB") for i, name in enumerate(["Big_Cat_1", "Big_Cat_2", "dog_1"])})
    lists = {"trainval.txt": b"dog_1 2 2 1\nBig_Cat_2 1 1 1\n", "test.txt": b"Big_Cat_1 1 1 1\n", "trimaps/x.png": b""}
    annotations = tar({f"annotations/{name}": value for name, value in lists.items()})
    data = load(small("OxfordIIITPet", 2, 3, [images, annotations]))
    assert data.classes == ("Big_Cat", "dog")
    assert data.labels.tolist() == [1, 0, 0]
    assert data.images[:, 0, 0, 0].tolist() == [2, 1, 0]


def test_a_wrong_file_in_the_mirror_is_refused(small: Small, tmp_path: Path) -> None:
    ref = small("USPS", 10, 10, [b"one", b"two"])
    (tmp_path / "mirror" / "USPS" / "usps.t.bz2").write_bytes(b"tampered")
    with pytest.raises(BenchError, match=r"^torchvision:USPS: .*usps\.t\.bz2 has MD5"):
        prepare(ref, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["sign_language_digits", "omniglot_small", "cifar10"])
def test_a_set_that_is_nowhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setenv("DAPBENCH_MIRRORS", str(tmp_path / "mirror"))
    with pytest.raises(BenchError, match=rf"^{name}: .*mirror.*DAPBENCH_MIRRORS") as caught:
        prepare(DatasetRef(name=name), tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_sign_language_digits_must_be_the_authors(tmp_path: Path) -> None:
    for digit in range(10):
        folder = tmp_path / "sign_language_digits" / "Dataset" / str(digit)
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / "a.jpg")
    with pytest.raises(BenchError, match="holds 10 images, not the authors' 2062"):
        load(DatasetRef(name="sign_language_digits", size=4), [str(tmp_path)])


def test_every_set_of_the_catalogue_is_described() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.count >= entry.classes >= 2, name
        assert entry.licence and entry.citation, name
        for file in entry.files:
            assert file.path.startswith(name.partition(":")[0] + "/"), name
            assert len(file.md5) == 32 and int(file.md5, 16), name
            assert file.urls and all(url.startswith("http") for url in file.urls), name
