"""Image folders, image files, Parquet files and splits as people have them, each of which was once read wrong."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from benchmark.config.params import DatasetRef
from benchmark.data import check_ref, load
from benchmark.data.image_files import decode
from benchmark.data.image_folders import CIRCLE, HIDDEN, image_files, loose_files, stamp, subfolders
from benchmark.data.splits import check_shots
from benchmark.errors import BenchError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey pictures in each of two classes, ash dark and birch bright."""
    top = tmp_path / "images"
    for name, grey in (("ash", 10), ("birch", 200)):
        (top / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (4, 4), grey + number).save(top / name / f"{number}.png")
    return top


def labels_of(top: Path) -> list[int]:
    return load(DatasetRef(name=f"imagefolder:{top}")).labels.tolist()


@pytest.mark.parametrize("to", ["..", "../..", "."])
def test_a_link_below_a_class_to_what_is_around_it_adds_nothing(folder: Path, to: str) -> None:
    (folder / "ash" / "up").symlink_to(to)
    assert labels_of(folder) == [0, 0, 0, 1, 1, 1]
    assert image_files(folder / "ash").skipped == [(folder / "ash" / "up", CIRCLE)]


@pytest.mark.parametrize("to", [".", ".."])
def test_a_link_to_the_folder_itself_is_no_class(folder: Path, to: str) -> None:
    (folder / "A_all").symlink_to(to)
    assert [path.name for path in subfolders(folder)] == ["ash", "birch"]
    assert labels_of(folder) == [0, 0, 0, 1, 1, 1]
    assert loose_files(folder) == [(folder / "A_all", CIRCLE)]


def test_a_class_that_is_a_link_to_elsewhere_is_read(folder: Path, tmp_path: Path) -> None:
    (folder / "ash").rename(tmp_path / "ash-elsewhere")
    (folder / "ash").symlink_to("../ash-elsewhere")
    assert labels_of(folder) == [0, 0, 0, 1, 1, 1]


def test_what_network_disks_leave_is_no_class_and_no_image(folder: Path) -> None:
    for place in (folder / "@eaDir", folder / "ash" / "@eaDir" / "0.png"):
        place.mkdir(parents=True)
        Image.new("L", (4, 4)).save(place / "SYNOPHOTO_THUMB_M.jpg")
    assert labels_of(folder) == [0, 0, 0, 1, 1, 1]
    assert [reason for _, reason in loose_files(folder)] == [HIDDEN]


def test_parts_beside_another_folder_are_no_classes(folder: Path) -> None:
    (folder / "ash").rename(folder / "train")
    check_ref(DatasetRef(name=f"imagefolder:{folder}"), "data.source")  # of trains and birches
    (folder / "test").mkdir()
    with pytest.raises(BenchError, match="holds the parts birch, test, train, not classes"):
        check_ref(DatasetRef(name=f"imagefolder:{folder}"), "data.source")


def test_exchanged_files_of_one_size_and_time_are_seen(folder: Path) -> None:
    first, second = folder / "ash" / "0.png", folder / "birch" / "0.png"
    os.utime(first, (1, 1))
    os.utime(second, (1, 1))
    before = stamp([first, second])
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    assert stamp([first, second]) != before


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 5000, "a\0b"])
@pytest.mark.parametrize("kind", ["imagefolder", "parquet"])
def test_what_is_no_path_is_one_line(kind: str, name: str) -> None:
    with pytest.raises(BenchError, match=r"is not a folder|cannot be looked into|no Parquet file"):
        check_ref(DatasetRef(name=f"{kind}:{name}"), "data.source")


def test_grey_of_twelve_bits_is_scaled_as_its_file_says(tmp_path: Path) -> None:
    values = np.array([[0, 2048], [4095, 1024]], dtype=np.uint16)
    # 12 bits a value, two of them in three bytes.
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF4, 0x00])
    tags = [(256, 2), (257, 2), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, len(packed))]
    entries = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, value in tags
    )
    head = b"II*\0" + (14).to_bytes(4, "little") + packed + len(tags).to_bytes(2, "little") + entries + bytes(4)
    (tmp_path / "deep.tif").write_bytes(head)
    assert decode(tmp_path / "deep.tif", "it").tolist() == (values >> 4).tolist()


def test_deep_grey_keeps_its_transparent_value(tmp_path: Path) -> None:
    values = np.array([[0, 300], [65535, 40000]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png", transparency=0)
    found = decode(tmp_path / "deep.png", "it")
    assert found.tolist() == [[[0, 0], [1, 255]], [[255, 255], [156, 255]]]


def test_a_pgm_of_sixteen_bits_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep.pgm").write_bytes(b"P5 2 1 65535\n" + (256).to_bytes(2, "big") + (65535).to_bytes(2, "big"))
    assert decode(tmp_path / "deep.pgm", "it").tolist() == [[1, 255]]


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage!!!!", b"hello world"])
def test_metadata_that_are_none_are_no_obstacle(tmp_path: Path, suffix: str, exif: bytes) -> None:
    Image.new("RGB", (3, 2), (10, 20, 30)).save(tmp_path / f"a.{suffix}", exif=exif, lossless=True)
    assert decode(tmp_path / f"a.{suffix}", "it").shape == (2, 3, 3)


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


def test_labels_that_are_no_class_numbers_are_refused(tmp_path: Path) -> None:
    pq.write_table(table(image=[b"x", b"y"], label=[0, 20231105123000]), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match=r"'label' has the label 20231105123000 in 2 rows, so its numbers are not"):
        load(DatasetRef(name=f"parquet:{tmp_path}/a.parquet"))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(image=[b"x" * 100] * 50, label=[0, 1] * 25), path)
    column = pq.read_metadata(path).row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(BenchError, match=r"a\.parquet is damaged \("):
        load(DatasetRef(name=f"parquet:{path}"))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    columns = [pa.array([b"x", b"y"]), pa.array([0, 1]), pa.array([1, 0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["image", "label", "label"]), tmp_path / "a.parquet")
    for name in ("", "#label"):
        with pytest.raises(BenchError, match="has several columns named 'label'"):
            check_ref(DatasetRef(name=f"parquet:{tmp_path}/a.parquet{name}"), "data.source")


def test_shots_are_different_images() -> None:
    labels, pool = torch.tensor([0] * 6 + [1] * 6), torch.tensor([0, 1, 2, 6, 7, 8])
    groups = torch.tensor([0, 0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    check_shots(labels, pool, 3)
    check_shots(labels, pool, 1, groups)
    with pytest.raises(BenchError, match=r"2 shots, but of class 0 the pool holds 3 images, 1 different ones"):
        check_shots(labels, pool, 2, groups)
