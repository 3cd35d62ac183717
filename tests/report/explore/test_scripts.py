import json
import shutil

import pytest

from benchmark.errors import BenchError
from benchmark.report.explore import scripts


def test_libraries_are_the_ones_that_were_pinned():
    found = scripts.libraries()
    entries = json.loads((scripts.ASSETS / "vendor.json").read_text())
    assert [entry["package"] for entry in entries] == ["vega", "vega-lite", "vega-embed"], "each needs those before it"
    assert sum(map(len, found)) < 1_000_000
    assert not any("</script" in library or "sourceMappingURL" in library for library in found)
    for entry in entries:
        assert f"{entry['package']} {entry['version']} ({entry['licence']})" in scripts.licences()


@pytest.mark.parametrize("change", ["altered", "absent"])
def test_another_library_is_refused(tmp_path, change):
    folder = tmp_path / "assets"
    shutil.copytree(scripts.ASSETS, folder)
    path = folder / "vega-lite.min.js"
    path.unlink() if change == "absent" else path.write_text(path.read_text() + " ")
    with pytest.raises(
        BenchError, match=r"vega-lite\.min\.js: expected package/build/.* 6\.5\.0 .*restore it from git"
    ):
        scripts.libraries(folder)


def test_the_page_s_own_scripts_end_with_the_one_that_starts_it():
    text = scripts.own()
    assert "</script" not in text and text.rstrip().endswith('dataset.ready = "";')
    assert "https://" not in text and "fetch(" not in text, "no network"


def test_specifications_have_their_data_put_in():
    found = scripts.specifications()
    assert set(found) == {"main", "layers", "ranks"}
    assert all(not any(one["datasets"].values()) for one in found.values())
