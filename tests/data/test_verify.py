"""Prepared data is compared with its hash before it is used."""

import os
from pathlib import Path

import pytest

from benchmark.config.params import DatasetRef
from benchmark.data import open_prepared, prepare, slug, verify
from benchmark.errors import BenchError

REF = DatasetRef(name="digits", classes=[0, 1])


@pytest.mark.parametrize("name", verify.ARRAYS)
@pytest.mark.parametrize("offset", [-1, -8, 200])
def test_one_flipped_bit_is_found_and_mended_by_preparing(tmp_path: Path, name: str, offset: int) -> None:
    first = prepare(REF, tmp_path)
    path = tmp_path / slug(REF) / name
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(BenchError, match=r"damaged.*remove its folder and run"):
        open_prepared(REF, tmp_path)
    assert prepare(REF, tmp_path) == first
    assert open_prepared(REF, tmp_path).digest == first["digest"]


def test_a_file_is_read_once_per_process_until_it_changes(tmp_path: Path) -> None:
    prepare(REF, tmp_path)
    open_prepared(REF, tmp_path)
    before = verify._content.cache_info()
    open_prepared(REF, tmp_path)
    after = verify._content.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)
    os.utime(tmp_path / slug(REF) / "labels.npy", ns=(1, 1))
    open_prepared(REF, tmp_path)
    assert verify._content.cache_info().misses == before.misses + 1
