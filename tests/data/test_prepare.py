"""Loading, converting, preparing, opening."""

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.config.params import DatasetRef, Split, TargetRef
from benchmark.data import check_ref, dataset_names, load, open_prepared, prepare, slug, with_splits
from benchmark.data.base import Stored
from benchmark.data.splits import split_source
from benchmark.data.transforms import resize, select, to_grey
from benchmark.errors import BenchError

SOURCE = DatasetRef(name="digits", classes=[0, 1, 2, 3, 4])


def test_digits_are_the_bundled_ones() -> None:
    from sklearn.datasets import load_digits

    data, bundle = load(DatasetRef(name="digits")), load_digits()
    assert data.images.shape == (1797, 1, 8, 8)
    assert data.images.dtype == torch.uint8
    assert data.labels.tolist() == bundle.target.tolist()
    assert data.classes == tuple("0123456789")
    # 0 -> 0, 8 -> 127.5 -> 128, 16 -> 255; and no two ink levels fall together.
    pairs = dict(zip(bundle.images.ravel().astype(int).tolist(), data.images.flatten().tolist(), strict=True))
    assert (pairs[0], pairs[1], pairs[8], pairs[16]) == (0, 16, 128, 255)
    assert len(set(pairs.values())) == 17
    assert data.groups is not None and data.groups.tolist() == list(range(1797))


def test_classes_are_renumbered_in_the_order_given() -> None:
    whole, part = load(DatasetRef(name="digits")), load(DatasetRef(name="digits", classes=[7, 2]))
    rows = torch.isin(whole.labels, torch.tensor([7, 2]))
    assert part.classes == ("7", "2")
    assert part.labels.tolist() == [{7: 0, 2: 1}[label] for label in whole.labels[rows].tolist()]
    assert torch.equal(part.images, whole.images[rows])


def test_a_list_among_the_classes_merges_its_labels() -> None:
    stored = Stored(
        labels=np.array([4, 0, 2, 1, 3, 2, 0, 4]),
        classes=tuple("abcde"),
        read=lambda _: iter(()),
        licence="",
        citation="",
        source="",
    )
    rows, labels, classes = select(stored, DatasetRef(name="x", classes=[[2, 4], 3, [1]]))
    assert rows.tolist() == [0, 2, 3, 4, 5, 7]
    assert labels.tolist() == [0, 0, 2, 1, 0, 0]
    assert classes == ("c+e", "d", "b")


@given(data=st.data(), labels=st.lists(st.integers(0, 6), max_size=30))
def test_every_label_goes_where_its_class_says(data: st.DataObject, labels: list[int]) -> None:
    """Against a dictionary, for any ordered choice of labels cut into any classes."""
    chosen = data.draw(st.permutations(range(7)))[: data.draw(st.integers(1, 7))]
    cuts = [*sorted(data.draw(st.sets(st.integers(1, 6)))), len(chosen)]
    pieces = [piece for start, end in zip([0, *cuts], cuts, strict=False) if (piece := chosen[start:end])]
    refs = [piece if len(piece) > 1 or data.draw(st.booleans()) else piece[0] for piece in pieces]
    stored = Stored(np.array(labels, dtype=np.int64), tuple("abcdefg"), lambda _: iter(()), "", "", "")
    rows, new, classes = select(stored, DatasetRef(name="x", classes=refs))
    where = {label: value for value, piece in enumerate(pieces) for label in piece}
    expected = [(row, where[label]) for row, label in enumerate(labels) if label in where]
    assert list(zip(rows.tolist(), new.tolist(), strict=True)) == expected
    assert classes == tuple("+".join("abcdefg"[label] for label in piece) for piece in pieces)


def test_merged_classes_are_prepared_as_such(tmp_path: Path) -> None:
    ref = DatasetRef(name="digits", classes=[[0, 1, 2], 3, [4, 5]])
    check_ref(ref, "s")
    manifest = prepare(ref, tmp_path)
    # Of the ten digits there are 178, 182, 177, 183, 181, 182, ... images.
    assert manifest["per_class"] == [178 + 182 + 177, 183, 181 + 182]
    assert manifest["classes"] == ["0+1+2", "3", "4+5"]
    assert manifest["ref"] == {"name": "digits", "classes": [[0, 1, 2], 3, [4, 5]]}
    assert slug(ref) != slug(DatasetRef(name="digits", classes=[0, 1, 2, 3, 4, 5]))
    opened, whole = open_prepared(ref, tmp_path), load(DatasetRef(name="digits"))
    assert opened.digest == load(ref).digest == manifest["digest"]
    assert torch.equal(opened.images, whole.images[whole.labels <= 5])


def test_digest_is_of_shape_pixels_and_labels() -> None:
    data = load(SOURCE)
    content = b"[901,1,8,8]" + data.images.numpy().tobytes() + data.labels.numpy().astype("<i8").tobytes()
    assert data.digest == hashlib.sha256(content).hexdigest()
    assert data.digest == "00132b30a2c6e39663d19e3a2c119556463d4d7f222c6e5ac7d706de47ad10cb"
    assert load(DatasetRef(name="digits", classes=[0, 1, 2, 4, 3])).digest != data.digest


def test_grey_is_the_luma_and_rgb_repeats_it(tmp_path: Path) -> None:
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (10, 20, 30)]):
        (tmp_path / f"c{number}").mkdir()
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"c{number}" / "a.png")
    name = f"imagefolder:{tmp_path}"
    assert load(DatasetRef(name=name)).images[3, :, 0, 0].tolist() == [10, 20, 30]
    grey = load(DatasetRef(name=name, channels="grey")).images
    # .299 * 255 = 76.2, .587 * 255 = 149.7, .114 * 255 = 29.1, 2.99 + 11.74 + 3.42 = 18.15
    assert grey[:, 0, 0, 0].tolist() == [76, 150, 29, 18]
    assert grey.shape == (4, 1, 4, 4)
    digits = load(DatasetRef(name="digits", channels="rgb")).images
    assert digits.shape == (1797, 3, 8, 8)
    assert torch.equal(digits[:, 0], load(DatasetRef(name="digits")).images[:, 0])
    assert torch.equal(digits[:, 0], digits[:, 2])


def test_luma_agrees_with_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(to_grey(pixels), np.asarray(Image.fromarray(pixels).convert("L")))


def test_resize_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    small = resize(stripes, 8)
    # Inside, stripes of one pixel become an even grey; without antialiasing they would stay black or white.
    assert small.shape == (8, 8)
    assert (small[:, 1:-1] == 128).all()
    flat = np.full((5, 9, 3), 77, dtype=np.uint8)
    assert np.array_equal(resize(flat, 12), np.full((12, 12, 3), 77, dtype=np.uint8))


def test_prepared_is_what_load_gives(tmp_path: Path) -> None:
    manifest = prepare(SOURCE, tmp_path)
    loaded, opened = load(SOURCE), open_prepared(SOURCE, tmp_path)
    assert torch.equal(opened.images, loaded.images)
    assert torch.equal(opened.labels, loaded.labels)
    assert opened.groups is not None and loaded.groups is not None and torch.equal(opened.groups, loaded.groups)
    same = ("name", "classes", "digest", "licence", "citation", "source")
    assert all(getattr(opened, key) == getattr(loaded, key) for key in same)
    assert manifest == json.loads((tmp_path / slug(SOURCE) / "manifest.json").read_text())
    assert manifest["count"] == 901
    assert manifest["shape"] == [1, 8, 8]
    assert manifest["per_class"] == [178, 182, 177, 183, 181]
    assert manifest["ref"] == {"name": "digits", "classes": [0, 1, 2, 3, 4]}
    assert manifest["duplicates"] == 0
    assert list(tmp_path.iterdir()) == [tmp_path / slug(SOURCE)]


def test_prepare_again_writes_nothing_and_a_damaged_set_is_made_again(tmp_path: Path) -> None:
    manifest = prepare(SOURCE, tmp_path)
    images = tmp_path / slug(SOURCE) / "images.npy"
    before = images.stat().st_mtime_ns
    assert prepare(SOURCE, tmp_path) == manifest
    assert images.stat().st_mtime_ns == before
    images.write_bytes(images.read_bytes()[:-1])
    assert prepare(SOURCE, tmp_path) == manifest
    assert open_prepared(SOURCE, tmp_path).digest == manifest["digest"]
    assert list(tmp_path.iterdir()) == [tmp_path / slug(SOURCE)]


def test_references_have_their_own_folders() -> None:
    others = [
        DatasetRef(name="digits"),
        DatasetRef(name="digits", classes=[0, 1, 2, 4, 3]),
        DatasetRef(name="digits", size=16),
    ]
    assert len({slug(ref) for ref in [SOURCE, *others]}) == 4
    assert slug(TargetRef(label="a", name="digits", classes=[0, 1, 2, 3, 4])) == slug(SOURCE)


def test_tensors_are_mapped_read_only(tmp_path: Path) -> None:
    prepare(SOURCE, tmp_path)
    # In a process of its own, because writing to a read-only page ends it.
    script = (
        "import sys; from pathlib import Path; from benchmark.config.params import DatasetRef; "
        "from benchmark.data import open_prepared; "
        f"data = open_prepared(DatasetRef(name='digits', classes=[0, 1, 2, 3, 4]), Path({str(tmp_path)!r})); "
        "print(int(data.images[0].sum()), flush=True); data.images[0] = 7; print('written')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode < 0
    assert done.stdout.split() == [str(int(load(SOURCE).images[0].sum()))]
    assert open_prepared(SOURCE, tmp_path).images[0].max() > 7


def damage(folder: Path, what: str) -> None:
    images, manifest = folder / "images.npy", folder / "manifest.json"
    value = json.loads(manifest.read_text())
    if what == "truncated":
        images.write_bytes(images.read_bytes()[:-1])
    elif what == "gone":
        images.unlink()
    elif what == "pickle":
        content = pickle.dumps(["x" * 100])
        images.write_bytes(content)
        manifest.write_text(json.dumps({**value, "files": {**value["files"], "images.npy": len(content)}}))
    elif what == "other shape":
        np.save(images, np.zeros((901, 1, 4, 16), dtype=np.uint8))
    elif what == "no manifest":
        manifest.unlink()
    elif what == "half a manifest":
        manifest.write_text(manifest.read_text()[:100])
    elif what == "a list":
        manifest.write_text("[]")
    elif what == "newer":
        manifest.write_text(json.dumps({**value, "schema": 2}))
    elif what == "no digest":
        manifest.write_text(json.dumps({**value, "digest": None}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", r"images\.npy: 57791 bytes, 57792 expected; remove"),
        ("gone", r"images\.npy: 0 bytes"),
        ("pickle", r"images\.npy: not a \.npy array"),
        ("other shape", r"images\.npy: uint8 \[901, 1, 4, 16\], expected uint8 \[901, 1, 8, 8\]"),
        ("no manifest", r"manifest\.json: missing"),
        ("half a manifest", r"manifest\.json: not a readable JSON file"),
        ("a list", r"manifest\.json: not the manifest of a data set"),
        ("newer", r"manifest\.json: manifest of schema 2, this version reads 1"),
        ("no digest", r"manifest\.json: manifest without a valid 'digest'"),
    ],
)
def test_a_damaged_set_is_refused_in_one_line(tmp_path: Path, what: str, message: str) -> None:
    prepare(SOURCE, tmp_path)
    damage(tmp_path / slug(SOURCE), what)
    with pytest.raises(BenchError, match=message) as caught:
        open_prepared(SOURCE, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_set_that_is_not_prepared(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"not prepared; run `dvc repro` or `dapbench run`"):
        open_prepared(SOURCE, tmp_path)


def test_an_error_while_preparing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    # The function of that name hides the module from an import by attribute.
    monkeypatch.setattr(sys.modules["benchmark.data.prepare"].os, "fsync", full)
    with pytest.raises(BenchError, match=r"cannot be written \(No space left on device\)"):
        prepare(SOURCE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot be written"):
        prepare(SOURCE, tmp_path / "file" / "data")


def test_manifest_takes_up_the_splits(tmp_path: Path) -> None:
    manifest = prepare(SOURCE, tmp_path)
    labels = open_prepared(SOURCE, tmp_path).labels
    whole = with_splits(manifest, {seed: split_source(labels, Split(), seed) for seed in (0, 1)})
    assert whole["split"]["sizes"] == {"train": 541, "validation": 180, "test": 180}
    digests = whole["split"]["digests"]
    assert digests["0"]["train"] != digests["1"]["train"]
    index = split_source(labels, Split(), 1).test
    assert digests["1"]["test"] == hashlib.sha256(index.numpy().astype("<i8").tobytes()).hexdigest()
    assert "split" not in manifest
    json.dumps(whole, allow_nan=False)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"name": "digts"}, r"^s\.name: unknown data set 'digts'; did you mean 'digits'\?"),
        ({"name": "digits:x"}, r"^s\.name: 'digits' takes no option"),
        ({"name": "sign_language_digits:x"}, r"^s\.name: 'sign_language_digits' takes no option"),
        ({"name": "digits", "classes": [0, 10]}, r"^s\.classes: 10 is not a class of digits; .* from 0 to 9"),
        ({"name": "digits", "classes": [-1, 2]}, r"^s\.classes: -1 is not a class"),
        ({"name": "digits", "classes": [3]}, r"^s\.classes: one class is no task"),
        ({"name": "digits", "classes": [[3, 4]]}, r"^s\.classes: one class is no task"),
        ({"name": "digits", "classes": [0, [1, 10]]}, r"^s\.classes: 10 is not a class of digits; .* from 0 to 9"),
        ({"name": "torchvision:FashonMNIST"}, r"^s\.name: unknown .* did you mean 'FashionMNIST'\?"),
        ({"name": "torchvision:"}, r"^s\.name: unknown torchvision data set ''"),
        ({"name": "torchvision:CIFAR100:coarse", "classes": [0, 20]}, r"^s\.classes: 20 is not a class"),
        ({"name": "omniglot_small:Grek"}, r"^s\.name: unknown alphabet 'Grek'; did you mean 'Greek'\?"),
        ({"name": "omniglot_small", "classes": [0, 242]}, r"^s\.classes: 242 is not a class .* from 0 to 241"),
        ({"name": "imagefolder:/no/such"}, r"^s\.name: '/no/such' is not a folder"),
        ({"name": "imagefolder:"}, r"^s\.name: 'PATH' is not a folder"),
        ({"name": "parquet:/no/such"}, r"^s\.name: no Parquet file at '/no/such'"),
        ({"name": "parquet:"}, r"^s\.name: no Parquet file at 'PATH'"),
    ],
)
def test_check_ref_refuses_in_one_line(ref: dict[str, object], message: str) -> None:
    with pytest.raises(BenchError, match=message) as caught:
        check_ref(DatasetRef.model_validate(ref), "s")
    assert "\n" not in str(caught.value)


def test_check_ref_accepts_every_listed_name() -> None:
    names = [name for name in dataset_names() if not name.endswith(":PATH")]
    assert {"digits", "torchvision:FashionMNIST", "omniglot_small:Greek", "sign_language_digits"} <= set(names)
    for name in names:
        check_ref(DatasetRef(name=name, classes=[1, 0]), "s")


def test_load_checks_the_classes_too() -> None:
    with pytest.raises(BenchError, match="digits: classes: 12 is not a class"):
        load(DatasetRef(name="digits", classes=[0, 12]))
    with pytest.raises(BenchError, match="digits: classes: -1 is not a class"):
        load(DatasetRef(name="digits", classes=[0, [2, -1]]))


def test_checking_names_imports_nothing_slow() -> None:
    script = (
        "import sys; from benchmark.config.params import DatasetRef; from benchmark.data import check_ref; "
        "check_ref(DatasetRef(name='torchvision:MNIST'), 's'); "
        "print([name for name in ('torch', 'sklearn', 'scipy', 'PIL', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
