"""Fetching with checksums, unpacking with path checks, image files, folders and Parquet."""

import hashlib
import io
import json
import os
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageOps

from benchmark.config.params import DatasetRef
from benchmark.data import check_ref, load, open_prepared, prepare
from benchmark.data.archives import unpack
from benchmark.data.base import Places, mirror_list
from benchmark.data.download import RemoteFile, fetch
from benchmark.data.image_files import decode
from benchmark.data.inputs import describe
from benchmark.data.inspect import inspect
from benchmark.data.transforms import convert
from benchmark.errors import BenchError

CONTENT = bytes(range(256)) * 5000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `breaks_after` bytes it hangs up, `ranges` are those it was asked for."""

    breaks_after: int | None = None
    knows_ranges = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = len(CONTENT) if self.server.breaks_after is None else start + self.server.breaks_after
        self.wfile.write(CONTENT[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def remote(server: Server, md5: str = MD5) -> RemoteFile:
    return RemoteFile("set/raw.bin", (f"{server.url}/raw.bin",), md5)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_is_whole_and_reports_progress(server: Server, tmp_path: Path) -> None:
    shares: list[float] = []
    places = Places(downloads=tmp_path, progress=lambda _, share: shares.append(share))
    path = fetch("set", remote(server), places)
    assert path.read_bytes() == CONTENT
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert fetch("set", remote(server), places) == path
    assert len(server.ranges) == 1
    assert files_below(tmp_path) == ["set/raw.bin"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_goes_on(server: Server, tmp_path: Path, knows_ranges: bool) -> None:
    server.breaks_after, server.knows_ranges = 1000, knows_ranges
    with pytest.raises(BenchError, match="broke off after 1000 of 1280000 bytes"):
        fetch("set", remote(server), Places(downloads=tmp_path))
    assert files_below(tmp_path) == ["set/raw.bin.part"]
    server.breaks_after = None
    assert fetch("set", remote(server), Places(downloads=tmp_path)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]
    assert files_below(tmp_path) == ["set/raw.bin"]


def test_a_kill_before_the_rename_costs_no_second_download(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "raw.bin.part").write_bytes(CONTENT)
    assert fetch("set", remote(server), Places(downloads=tmp_path)).read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=rf"^set: http.* has MD5 {MD5}, 0{{32}} expected; nothing was kept"):
        fetch("set", remote(server, "0" * 32), Places(downloads=tmp_path))
    assert files_below(tmp_path) == []


def test_a_damaged_download_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "raw.bin").write_bytes(b"damaged")
    assert fetch("set", remote(server), Places(downloads=tmp_path)).read_bytes() == CONTENT


def test_mirrors_come_first(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "mirror" / "set" / "raw.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    places = Places((str(tmp_path / "empty"), str(tmp_path / "mirror")), tmp_path / "downloads")
    assert fetch("set", remote(server), places) == path
    assert server.ranges == []
    path.write_bytes(b"other")
    with pytest.raises(BenchError, match=r"^set: .*raw\.bin has MD5 .*; replace it or take it out of the mirror"):
        fetch("set", remote(server), places)


def test_a_mirror_can_be_an_address(server: Server, tmp_path: Path) -> None:
    file = RemoteFile("set/raw.bin", (), MD5)
    assert fetch("set", file, Places((server.url + "/",), tmp_path)).read_bytes() == CONTENT


def test_what_cannot_be_had_is_one_line_with_the_remedy(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(BenchError) as caught:
        fetch("torchvision:X", remote(server), Places((str(tmp_path / "mirror"),), tmp_path / "downloads"))
    message = str(caught.value)
    for part in ("torchvision:X", "set/raw.bin", str(tmp_path / "mirror"), server.url, "Not Found", "DAPBENCH_MIRRORS"):
        assert part in message
    assert "\n" not in message
    assert files_below(tmp_path) == []


def test_no_network_is_the_same_line(tmp_path: Path) -> None:
    with Server() as unused:
        address = unused.url
    file = RemoteFile("set/raw.bin", (f"{address}/raw.bin",), MD5)
    with pytest.raises(BenchError, match=r"^set: .* no mirror folder .*refused.*DAPBENCH_MIRRORS"):
        fetch("set", file, Places(downloads=tmp_path))


def test_mirrors_of_the_environment_follow_those_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAPBENCH_MIRRORS", os.pathsep.join(["/a/b", "https://host:8080/x/y", "rel", "http://h"]))
    assert mirror_list(["/first"]) == ("/first", "/a/b", "https://host:8080/x/y", "rel", "http://h")
    monkeypatch.setenv("DAPBENCH_MIRRORS", "")
    assert mirror_list([]) == ()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as bundle:
            for name, content in members.items():
                bundle.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as ball:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                ball.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_unpacking(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path / kind, {"x/1.txt": b"one", "x/y/2.txt": b"two", "z.txt": b"three"})
    folder = unpack(path, tmp_path / "out", lambda name: name.startswith("x/"))
    assert files_below(folder) == ["x/1.txt", "x/y/2.txt"]
    assert (folder / "x/y/2.txt").read_bytes() == b"two"
    (folder / "x/1.txt").write_bytes(b"kept")
    assert unpack(path, folder) == folder
    assert (folder / "x/1.txt").read_bytes() == b"kept"


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "/evil", "x/../../out2/evil", "..\\evil", "C:\\evil"])
def test_a_member_that_climbs_out_is_refused_before_anything_is_written(tmp_path: Path, kind: str, name: str) -> None:
    path = archive(tmp_path / kind, {"fine.txt": b"1", name: b"2"})
    # Refused even if it would not be unpacked.
    with pytest.raises(BenchError, match="climbs out of the archive's folder; nothing was unpacked"):
        unpack(path, tmp_path / "in" / "out", lambda member: member == "fine.txt")
    assert files_below(tmp_path) == [kind]
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize(
    ("kind", "name", "link"),
    [
        (tarfile.SYMTYPE, "x/link", "../../evil"),
        (tarfile.SYMTYPE, "link", "/etc"),
        (tarfile.LNKTYPE, "x/y/link", "../evil"),
    ],
)
def test_a_link_that_leads_out_is_refused(tmp_path: Path, kind: bytes, name: str, link: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as ball:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        ball.addfile(info)
    with pytest.raises(BenchError, match="climbs out"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert files_below(tmp_path) == ["a.tar"]


def test_links_inside_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as ball:
        info = tarfile.TarInfo("x/link")
        info.type, info.linkname = tarfile.SYMTYPE, "../y"
        ball.addfile(info)
        ball.addfile(tarfile.TarInfo("y"), io.BytesIO())
    assert files_below(unpack(tmp_path / "a.tar", tmp_path / "out")) == ["y"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(BenchError, match=r"a\.zip: cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert files_below(tmp_path) == ["a.zip"]


def test_a_truncated_archive_leaves_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(300_000)
    path = archive(tmp_path / "a.tar.gz", {"x": noise, "y": noise})
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(BenchError, match="cannot be unpacked"):
        unpack(path, tmp_path / "out")
    assert files_below(tmp_path) == ["a.tar.gz"]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_decoding_of_modes() -> None:
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    assert np.array_equal(decode(encoded(Image.fromarray(grey)), "x"), grey)
    assert np.array_equal(decode(encoded(Image.fromarray(grey).convert("LA")), "x"), grey)
    assert np.array_equal(decode(encoded(Image.fromarray(grey.astype(np.uint16) * 257)), "x"), grey)
    assert decode(encoded(Image.new("1", (3, 2), 1)), "x").tolist() == [[255] * 3] * 2
    for mode, colour in (("RGB", (1, 2, 3)), ("RGBA", (1, 2, 3, 255)), ("P", 0)):
        image = Image.new(mode, (3, 2), colour)
        if mode == "P":
            image.putpalette([1, 2, 3] * 256)
        assert decode(encoded(image), "x").tolist() == [[[1, 2, 3]] * 3] * 2


def test_transparency_comes_last_and_is_laid_over_white_or_black() -> None:
    alpha = np.array([[0, 255, 51]], dtype=np.uint8)
    ink = np.zeros((1, 3, 4), dtype=np.uint8)
    ink[..., 3] = alpha
    grey = np.stack([np.full_like(alpha, 100), alpha], axis=2)
    assert np.array_equal(decode(encoded(Image.fromarray(ink)), "x"), ink)
    assert np.array_equal(decode(encoded(Image.fromarray(grey)), "x"), grey)
    # A colour key and a transparent palette entry are alpha too.
    keyed = encoded(Image.new("RGB", (1, 1), (1, 2, 3)), transparency=(1, 2, 3))
    assert decode(keyed, "x").tolist() == [[[1, 2, 3, 0]]]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([9, 8, 7] * 256)
    assert decode(encoded(palette, transparency=0), "x").tolist() == [[[9, 8, 7, 0]]]
    # 255 - 51 = 204 parts of white: black ink becomes 204, and over black stays 0; grey 100 becomes 224 and 20.
    white, black = DatasetRef(name="x"), DatasetRef(name="x", background="black")
    assert convert(ink, white).tolist() == [[[255, 0, 204]]] * 3
    assert convert(ink, black).tolist() == [[[0, 0, 0]]] * 3
    assert convert(grey, white).tolist() == [[[255, 100, 224]]]
    assert convert(grey, black).tolist() == [[[0, 100, 20]]]


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    content = encoded(Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)), exif=exif)
    assert np.array_equal(decode(content, "x"), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))))


def test_odd_exif_is_no_obstacle() -> None:
    # Orientation 6 (quarter turn), and a unit of resolution that is a float NaN.
    tags = [(0x112, 3, struct.pack("<H", 6)), (0x128, 11, struct.pack("<f", float("nan")))]
    entries = b"".join(struct.pack("<HHL", tag, kind, 1) + value.ljust(4, b"\0") for tag, kind, value in tags)
    exif = b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4)
    assert decode(encoded(Image.new("L", (4, 2)), "JPEG", exif=exif), "x").shape == (4, 2)


def test_decoding_turns_the_image_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("L", (4, 2))
    image.paste(255, (0, 0, 4, 1))
    # Orientation 6: the stored top row is the upright image's right column.
    upright = decode(encoded(image, exif=exif), "x")
    assert upright.tolist() == [[0, 255]] * 4


@pytest.mark.parametrize("content", [b"", b"text", encoded(Image.new("L", (50, 50)))[:60]])
def test_decoding_of_what_is_no_image(content: bytes) -> None:
    with pytest.raises(BenchError, match=r"^here: not a readable image") as caught:
        decode(content, "here")
    assert "\n" not in str(caught.value)


def image_folder(root: Path, side: int = 6) -> Path:
    for label, name in enumerate(["ant", "bee", "cat"]):
        (root / name / "deep").mkdir(parents=True)
        for number in range(4):
            folder = root / name / "deep" if number == 3 else root / name
            Image.new("L", (side, side), 50 * label + number).save(folder / f"{number}.PNG")
        (root / name / "notes.txt").write_text("not an image")
        (root / name / "._0.png").write_bytes(b"hidden")
    (root / ".hidden").mkdir()
    return root


def test_image_folder(tmp_path: Path) -> None:
    ref = DatasetRef(name=f"imagefolder:{image_folder(tmp_path / 'own')}")
    check_ref(ref, "s")
    data = load(ref)
    assert data.classes == ("ant", "bee", "cat")
    assert data.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 50, 51, 52, 53, 100, 101, 102, 103]
    with pytest.raises(BenchError, match=r"^s\.classes: 3 is not a class of imagefolder"):
        check_ref(DatasetRef(name=ref.name, classes=[0, 3]), "s")


def test_a_changed_folder_is_prepared_again(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    ref = DatasetRef(name=f"imagefolder:{folder}")
    first = prepare(ref, tmp_path / "data")
    assert prepare(ref, tmp_path / "data") == first
    Image.new("L", (6, 6), 255).save(folder / "ant" / "0.PNG")
    second = prepare(ref, tmp_path / "data")
    assert second["digest"] != first["digest"]
    assert open_prepared(ref, tmp_path / "data").images[0].min() == 255
    (folder / "bee" / "0.PNG").unlink()
    assert prepare(ref, tmp_path / "data")["per_class"] == [4, 3, 4]


def test_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    Image.new("L", (9, 5), 7).save(folder / "cat" / "0.PNG")
    name = f"imagefolder:{folder}"
    with pytest.raises(BenchError, match=r"images of grey 6x6 and of grey 5x9; give the data set `size`"):
        load(DatasetRef(name=name))
    assert load(DatasetRef(name=name, size=4)).images.shape == (12, 1, 4, 4)
    Image.new("RGB", (6, 6), (7, 7, 7)).save(folder / "cat" / "0.PNG")
    with pytest.raises(BenchError, match=r"grey 6x6 and of RGB 6x6; give the data set `channels"):
        prepare(DatasetRef(name=name), tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())
    assert load(DatasetRef(name=name, channels="rgb")).images.shape == (12, 3, 6, 6)


def test_equal_images_are_grouped(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    Image.new("L", (6, 6), 1).save(folder / "cat" / "0.PNG")
    ref = DatasetRef(name=f"imagefolder:{folder}")
    assert prepare(ref, tmp_path / "data")["duplicates"] == 1
    groups = open_prepared(ref, tmp_path / "data").groups
    assert groups is not None
    assert groups.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 1, 9, 10, 11]


def test_folders_that_are_no_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        image_folder(tmp_path / "parts" / part)
    with pytest.raises(BenchError, match=r"^s\.name: .* holds the parts test, train, not classes; name one part"):
        check_ref(DatasetRef(name=f"imagefolder:{tmp_path / 'parts'}"), "s")
    (tmp_path / "one" / "a").mkdir(parents=True)
    with pytest.raises(BenchError, match="holds 1 class folders"):
        check_ref(DatasetRef(name=f"imagefolder:{tmp_path / 'one'}"), "s")
    (tmp_path / "one" / "b").mkdir()
    with pytest.raises(BenchError, match="class 'a' has no images"):
        load(DatasetRef(name=f"imagefolder:{tmp_path / 'one'}"))


def test_folders_that_are_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match=r"^s\.name: / is the whole file system"):
        check_ref(DatasetRef(name="imagefolder:/"), "s")
    folder = image_folder(tmp_path / "a")
    entries = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return entries(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(BenchError, match=r"cannot be looked into \(Permission denied\)"):
        load(DatasetRef(name=f"imagefolder:{folder}"))


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    (folder / "bee" / "1.PNG").write_bytes(b"broken")
    with pytest.raises(BenchError, match=r"bee/1\.PNG: not a readable image"):
        load(DatasetRef(name=f"imagefolder:{folder}"))


def test_all_broken_images_are_named_at_once(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    for name in ("ant/1.PNG", "bee/2.PNG", "cat/deep/3.PNG"):
        (folder / name).write_bytes(b"broken")
    for look in (load, inspect):
        with pytest.raises(BenchError, match=r"^3 images cannot be read: ") as caught:
            look(DatasetRef(name=f"imagefolder:{folder}"))
        assert all(name in str(caught.value) for name in ("ant/1.PNG", "bee/2.PNG", "cat/deep/3.PNG"))
    images = [b"broken", encoded(Image.new("L", (2, 2))), b""]
    pq.write_table(pa.table({"image": images, "label": [0, 1, 1]}), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match=r"^2 images cannot be read: .*row 0 of .* \| .*row 2 of "):
        inspect(DatasetRef(name=f"parquet:{tmp_path / 'a.parquet'}"))
    pq.write_table(pa.table({"image": images[::-1], "label": [0, 1, 1]}), tmp_path / "b.parquet")
    with pytest.raises(BenchError, match=r"^4 images .*row 2 of \S*a\.parquet: .* \| .*row 0 of \S*b\.parquet: "):
        inspect(DatasetRef(name=f"parquet:{tmp_path}"))


def test_an_inspection_is_what_load_gives(tmp_path: Path) -> None:
    own = DatasetRef(name=f"imagefolder:{image_folder(tmp_path / 'own')}", channels="rgb")
    for ref in (own, DatasetRef(name="digits", classes=[3, 4])):
        found, data = inspect(ref), load(ref)
        assert torch.equal(found.labels, data.labels)
        assert (found.classes, found.shape) == (data.classes, tuple(data.images.shape[1:]))


def parquet(path: Path, values: list[int], labels: list[Any], names: list[str] | None = None, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": encoded(Image.new("L", (5, 5), value)), "path": f"{value}.png"} for value in values]
    table = pa.table({"img": images, "label": labels, **more})
    if names:
        features = {"img": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=3)
    return path


def test_parquet_files_follow_one_another(tmp_path: Path) -> None:
    parquet(tmp_path / "p" / "test-0.parquet", [1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 0, 1, 2, 0], ["x", "y", "z"])
    parquet(tmp_path / "p" / "train-0.parquet", [11, 12], [1, 2], ["x", "y", "z"])
    whole = load(DatasetRef(name=f"parquet:{tmp_path}/p"))
    assert whole.images[:, 0, 2, 2].tolist() == [1, 2, 3, 4, 5, 6, 7, 11, 12]
    assert whole.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert whole.classes == ("x", "y", "z")
    # Rows of some classes only, across row groups and files.
    part = load(DatasetRef(name=f"parquet:{tmp_path}/p/t*.parquet", classes=[2, 1]))
    assert part.images[:, 0, 2, 2].tolist() == [2, 3, 5, 6, 11, 12]
    assert part.labels.tolist() == [1, 0, 1, 0, 1, 0]
    one = load(DatasetRef(name=f"parquet:{tmp_path}/p/test-0.parquet"))
    assert len(one.labels) == 7
    with pytest.raises(BenchError, match=r"^s\.classes: 3 is not a class"):
        check_ref(DatasetRef(name=f"parquet:{tmp_path}/p", classes=[0, 3]), "s")


def test_parquet_files_that_number_the_classes_otherwise_are_read_by_name(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", [10, 20, 25], [1, 0, 2], ["cat", "dog", "eel"])
    parquet(tmp_path / "b.parquet", [30, 40, 45], [0, 1, 2], ["dog", "eel", "cat"])
    data = load(DatasetRef(name=f"parquet:{tmp_path}"))
    assert (data.classes, data.labels.tolist()) == (("cat", "dog", "eel"), [1, 0, 2, 1, 2, 0])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "eel"], r"do not name the same classes \(dog, eel"),
        (None, r"do not name the same classes \(cat, dog"),
        (["cat", "cat"], r"gives two classes the name 'cat'"),
    ],
)
def test_parquet_files_with_other_classes_are_refused(tmp_path: Path, names: list[str] | None, message: str) -> None:
    parquet(tmp_path / "a.parquet", [1, 2], [0, 1], ["cat", "dog"])
    parquet(tmp_path / "b.parquet", [3, 4], [0, 1], names)
    with pytest.raises(BenchError, match=message):
        load(DatasetRef(name=f"parquet:{tmp_path}"))


def test_parquet_columns_are_chosen_and_said(tmp_path: Path) -> None:
    left, right = ([encoded(Image.new("L", (2, 2), base + step)) for step in range(3)] for base in (1, 11))
    kind = pa.array(["b", "a", "b"]).dictionary_encode()
    pq.write_table(pa.table({"left": left, "right": right, "kind": kind, "label": [0, 1, 0]}), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match="one column of encoded images, found left, right; name it as"):
        check_ref(DatasetRef(name=f"parquet:{tmp_path}"), "s")
    chosen = DatasetRef(name=f"parquet:{tmp_path}#kind,right")
    data = load(chosen)
    assert data.images[:, 0, 0, 0].tolist() == [11, 12, 13]
    assert (data.classes, data.labels.tolist()) == (("a", "b"), [1, 0, 1])
    assert describe(prepare(chosen, tmp_path / "data")["inputs"]) == [
        "read 1 .parquet",
        "images in column 'right', labels in column 'kind' (texts)",
    ]


def test_parquet_with_texts_bare_bytes_and_several_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    images = [encoded(Image.new("RGB", (2, 2), (value, 0, 0))) for value in (1, 2, 3)]
    pq.write_table(pa.table({"image": images, "fine": ["b", "a", "b"], "coarse": [0, 1, 1]}), path)
    with pytest.raises(
        BenchError, match=r"expected one label column, found fine, coarse; name it as parquet:PATH#COLUMN"
    ):
        check_ref(DatasetRef(name=f"parquet:{path}"), "s")
    fine = load(DatasetRef(name=f"parquet:{path}#fine"))
    assert (fine.classes, fine.labels.tolist()) == (("a", "b"), [1, 0, 1])
    assert fine.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    coarse = load(DatasetRef(name=f"parquet:{path}#coarse"))
    assert (coarse.classes, coarse.labels.tolist()) == (("0", "1"), [0, 1, 1])


def test_parquet_files_of_a_folder_are_told_from_what_lies_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "below").mkdir(parents=True)
    parquet(folder / "a.parquet", [1, 2], [0, 1])
    parquet(folder / "B.PARQUET", [3, 4], [0, 1])
    parquet(folder / ".c.parquet", [5, 6], [0, 1])
    (folder / "._a.parquet").write_bytes(b"left by a file manager")
    parquet(folder / "below" / "d.parquet", [7, 8], [0, 1])
    (folder / "README.md").write_text("a card")
    ref = DatasetRef(name=f"parquet:{folder}")
    assert load(ref).images[:, 0, 0, 0].tolist() == [3, 4, 1, 2]
    assert describe(prepare(ref, tmp_path / "data")["inputs"])[2:] == [
        f"skipped 2 .parquet: hidden, or left by a file manager (first: {folder / '._a.parquet'})",
        f"skipped 1 .parquet: in a folder below the one that was named (first: {folder / 'below' / 'd.parquet'})",
        f"skipped 1 .md: not a format that is read (first: {folder / 'README.md'})",
    ]


def test_parquet_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", [1, 2], [0, 1])
    table = pq.read_table(parquet(tmp_path / "b.parquet", [3, 4], [0, 1]))
    pq.write_table(table.select(table.column_names[::-1]), tmp_path / "b.parquet")
    assert load(DatasetRef(name=f"parquet:{tmp_path}")).images[:, 0, 0, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("labels", "option", "message"),
    [
        (pa.array([0.0, 1.0]), "", r"found none of whole numbers or texts among image \(.*\), label \(double\)"),
        (pa.array([0, 2**63], pa.uint64()), "", "the labels of column 'label' are no class numbers"),
        (pa.array([], pa.int64()), "", "holds no row"),
        (pa.array([0, 1]), "#kind", "'kind' is no label column, found label; name one as parquet:PATH#COLUMN"),
    ],
)
def test_parquet_labels_that_are_none(tmp_path: Path, labels: pa.Array, option: str, message: str) -> None:
    images = pa.array([encoded(Image.new("L", (2, 2), value)) for value in range(len(labels))], pa.binary())
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match=message):
        load(DatasetRef(name=f"parquet:{tmp_path}{option}"))


def test_bytes_that_are_no_image_are_told_without_a_place_in_memory(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"", b"x"], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match=r"2 images cannot be read: .*not a readable image \(of no known format\)"):
        load(DatasetRef(name=f"parquet:{tmp_path}"))


def test_a_changed_parquet_file_is_prepared_again(tmp_path: Path) -> None:
    ref = DatasetRef(name=f"parquet:{parquet(tmp_path / 'a.parquet', [1, 2], [0, 1])}")
    first = prepare(ref, tmp_path / "data")
    parquet(tmp_path / "a.parquet", [1, 3], [0, 1])
    assert prepare(ref, tmp_path / "data")["digest"] != first["digest"]


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, None], None, r"row 1 of .* has no label in column 'label'"),
        ([0, -1], None, r"not all in 0\.\.0"),
        ([0, 2], ["x", "y"], r"not all in 0\.\.1"),
        ([0, 2], None, "class '1' has no images"),
        ([0, 0], None, "1 class is no task"),
    ],
)
def test_parquet_with_bad_labels(tmp_path: Path, labels: list[Any], names: list[str] | None, message: str) -> None:
    path = parquet(tmp_path / "a.parquet", [1, 2], labels, names)
    with pytest.raises(BenchError, match=message):
        load(DatasetRef(name=f"parquet:{path}"))


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [1, 2], [0, 1])
    parquet(tmp_path / "b.parquet", [1, 2], [0, 1], other=[1, 2])
    with pytest.raises(BenchError, match=r"b\.parquet has other columns than"):
        check_ref(DatasetRef(name=f"parquet:{tmp_path}"), "s")
    pq.write_table(pa.table({"img": [{"bytes": None, "path": "a.png"}] * 2, "label": [0, 1]}), tmp_path / "c.parquet")
    with pytest.raises(BenchError, match=r"expected one column of encoded images, found none"):
        load(DatasetRef(name=f"parquet:{tmp_path}/c.parquet"))
    pq.write_table(pa.table({"img": pa.array([None, b"x"], pa.binary()), "label": [0, 1]}), tmp_path / "d.parquet")
    with pytest.raises(BenchError, match=r"row 0 of .* holds no image bytes"):
        load(DatasetRef(name=f"parquet:{tmp_path}/d.parquet"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BenchError, match=r"^s\.name: .* is not a Parquet file") as caught:
        check_ref(DatasetRef(name=f"parquet:{path}"), "s")
    assert "\n" not in str(caught.value)
