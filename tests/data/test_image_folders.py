"""Which files of an image folder are read, and how the others are counted."""

from pathlib import Path

import pytest
from PIL import Image

from benchmark.config.params import DatasetRef
from benchmark.data import load, prepare
from benchmark.data.image_folders import BROKEN, CIRCLE, FORMAT, HIDDEN, LOOSE, SUFFIXES, image_files, subfolders
from benchmark.data.inputs import describe

WRITERS = {".jfif": "JPEG", ".jpe": "JPEG", ".jp2": "JPEG2000", ".avif": "AVIF"}


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path, WRITERS.get(path.suffix))


def two_classes(root: Path) -> Path:
    for label, name in enumerate(("ash", "birch")):
        for number in range(2):
            picture(root / name / f"{number}.png", 10 * label + number)
    return root


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    two_classes(tmp_path)
    picture(tmp_path / "ash" / f"more{suffix}", 200)
    data = load(DatasetRef(name=f"imagefolder:{tmp_path}", channels="grey"))
    assert data.labels.tolist() == [0, 0, 0, 1, 1]
    assert abs(float(data.images[2].float().mean()) - 200) <= 3


def test_what_is_skipped_is_counted_by_suffix_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = two_classes(tmp_path / "own")
    picture(root / "ash" / ".ipynb_checkpoints" / "0-checkpoint.png")
    picture(root / "birch" / "x" / ".thumbnails" / "t.png")
    picture(root / "__MACOSX" / "ash" / "0.png")
    picture(root / "ash" / "__MACOSX" / "1.png")
    picture(root / "stray.png")
    for number in range(3):
        (root / "ash" / f"{number}.HEIC").write_bytes(b"")
    (root / "ash" / "gone.png").symlink_to(root / "nowhere.png")
    assert [path.name for path in subfolders(root)] == ["ash", "birch"]
    ref = DatasetRef(name=f"imagefolder:{root}")
    assert load(ref).labels.tolist() == [0, 0, 1, 1]
    said = capsys.readouterr().err
    manifest = prepare(ref, tmp_path / "data")
    inputs = manifest["inputs"]
    assert inputs["taken"] == {".png": 4}
    assert {(item["suffix"], item["reason"]): item["count"] for item in inputs["skipped"]} == {
        (".png", HIDDEN): 4,
        (".png", LOOSE): 1,
        (".heic", FORMAT): 3,
        (".png", BROKEN): 1,
    }
    assert prepare(ref, tmp_path / "data") == manifest
    lines = describe(inputs)
    assert lines[0] == "read 4 .png"
    assert f"skipped 3 .heic: {FORMAT} (first: {root / 'ash' / '0.HEIC'})" in lines
    assert said == "".join(f"note: {ref.name}: {line}\n" for line in lines[1:])


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "own")
    picture(tmp_path / "elsewhere" / "a.png", 50)
    picture(tmp_path / "elsewhere" / "deep" / "b.png", 60)
    (root / "ash" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "birch" / "c.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (root / "birch" / "round").symlink_to(root / "birch")
    ash, birch = image_files(root / "ash"), image_files(root / "birch")
    assert (len(ash.images), ash.skipped) == (4, [])
    assert birch.skipped == [(root / "birch" / "round", CIRCLE)]
    data = load(DatasetRef(name=f"imagefolder:{root}"))
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 50, 60, 10, 11, 50]
