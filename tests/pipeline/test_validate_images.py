"""What `validate` says of a user's own images, before anything is trained."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.program import app
from benchmark.config.params import Params, parse
from benchmark.errors import BenchError
from benchmark.pipeline.validate import validate


def write(folder: Path, different: int, copies: int = 0) -> None:
    """Write a class of that many different pictures, the first of them some times more."""
    folder.mkdir(parents=True)
    draws = np.random.default_rng(len(folder.name) + different)
    for number in range(different):
        picture = Image.fromarray(draws.integers(0, 256, (8, 8), dtype=np.uint8))
        picture.save(folder / f"{number}.png")
        for copy in range(copies if number == 0 else 0):
            picture.save(folder / f"copy{copy}.png")


def params_of(text: str, top: Path) -> Params:
    content = yaml.safe_load(text)
    content["run"]["methods"] = ["dense", "uniform"]
    suite = content["suites"]["tiny"]
    ref = {"name": f"imagefolder:{top}", "size": 8, "channels": "grey"}
    suite["data"] = {
        "source": {**ref, "classes": [0, 1]},
        "targets": [{**ref, "label": "t", "classes": [2, 3]}],
        "split": {"train": 0.5, "validation": 0.25},
        "pool": 10,
    }
    suite["grid"]["seeds"] = [0, 1, 2]
    suite["transfer"]["shots"] = [1, 5]
    return parse(Params, content, "params.yaml")


def test_one_placeholder_is_no_pool(tiny_text: str, tmp_path: Path) -> None:
    for name in ("ash", "birch", "dogwood"):
        write(tmp_path / "images" / name, 25)
    write(tmp_path / "images" / "cedar", 3, copies=37)
    with pytest.raises(BenchError) as told:
        validate(params_of(tiny_text, tmp_path / "images"), ["tiny"], root=tmp_path)
    assert str(told.value).startswith("params.yaml: suites.tiny: data.targets.0: ")
    assert "class 0 (cedar)" in str(told.value) and "different" in str(told.value)


def test_the_splits_of_every_seed_are_tried(tiny_text: str, tmp_path: Path) -> None:
    for name in ("birch", "cedar", "dogwood"):
        write(tmp_path / "images" / name, 25)
    write(tmp_path / "images" / "ash", 4, copies=18)
    with pytest.raises(BenchError, match=r"data\.source: data: class 0 \(ash\) has 22 images, 4 different ones, "):
        validate(params_of(tiny_text, tmp_path / "images"), ["tiny"], root=tmp_path)


def test_an_image_too_few_is_told_with_the_name_of_its_class(tiny_text: str, tmp_path: Path) -> None:
    for name, count in (("ash", 25), ("birch", 25), ("cedar", 25), ("dogwood", 9)):
        write(tmp_path / "images" / name, count)
    with pytest.raises(BenchError, match=r"data\.targets\.0: .* class 1 \(dogwood\) has 9 and some must stay"):
        validate(params_of(tiny_text, tmp_path / "images"), ["tiny"], root=tmp_path)


@pytest.mark.parametrize("option", ["--seeds", "--budgets"])
def test_an_empty_list_is_not_the_whole_grid(option: str, tiny_params: Path) -> None:
    told = CliRunner().invoke(app, ["run", "--params", str(tiny_params), "--suite", "tiny", option, ""])
    assert told.exit_code == 2 and f"{option}: '' is no list of numbers" in told.stderr


def test_where_a_file_cannot_be_written_is_told_before_the_search(tiny_params: Path, tmp_path: Path) -> None:
    asked = ["search", "--params", str(tiny_params), "--suite", "tiny", "--method", "uniform", "--budget", "0.5"]
    told = CliRunner().invoke(app, [*asked, "--granularity", "channel", "--out", str(tmp_path)])
    assert told.exit_code == 2 and f"--out: {tmp_path} cannot be written (Is a directory)" in told.stderr
    assert not [*(tiny_params.parent / ".jobs").glob("??/*")]


def test_broken_images_of_all_parts_are_named_at_once(tiny_text: str, tmp_path: Path) -> None:
    for name in ("ash", "birch", "cedar", "dogwood"):
        write(tmp_path / "images" / name, 25)
    for name in ("ash", "cedar"):
        (tmp_path / "images" / name / "broken.png").write_bytes(b"no image")
    with pytest.raises(BenchError) as told:
        validate(params_of(tiny_text, tmp_path / "images"), ["tiny"], root=tmp_path)
    said = str(told.value)
    assert "data.source: " in said and "ash/broken.png" in said
    assert "data.targets.0: " in said and "cedar/broken.png" in said


def test_images_of_several_classes_are_told(tiny_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ash", "birch", "cedar", "dogwood"):
        write(tmp_path / "images" / name, 25)
    validate(params_of(tiny_text, tmp_path / "images"), ["tiny"], root=tmp_path)
    assert "more than one class" not in capsys.readouterr().err
    for number, place in ((3, "birch/3"), (4, "birch/4"), (4, "birch/again")):
        (tmp_path / "images" / f"{place}.png").write_bytes((tmp_path / f"images/ash/{number}.png").read_bytes())
    validate(params_of(tiny_text, tmp_path / "images"), ["tiny"], root=tmp_path)
    told = [line for line in capsys.readouterr().err.splitlines() if "more than one class" in line]
    assert told == [
        "note: suites.tiny.data.source: 2 images lie in more than one class, the first in 'ash' and 'birch'; "
        "take them out of all but one"
    ]
