"""docs/own-data.md is true: its commands and its YAML run, on a small generated folder of images."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pages import ROOT, blocks
from PIL import Image
from typer.testing import CliRunner, Result

from benchmark.analysis.rows import read_results
from benchmark.api import load_params
from benchmark.cli import app
from benchmark.pruning.registry import pruners

PAGE = "docs/own-data.md"
TEXT = (ROOT / PAGE).read_text()
CLASSES = ("ash", "birch", "cedar", "elm", "fir", "oak")
EACH = 14
# One of every kind: each of the others has the generic tests, and here they would take most of the time.
METHODS = ("dense", "uniform", "random", "magnitude", "lottery_ticket", "darts", "dap")
Suite = dict[str, Any]


def commands(section: int) -> str:
    """The shell commands of a numbered section, one to a line."""
    part = re.split(r"^## ", TEXT, flags=re.MULTILINE)[section]
    return "\n".join(
        re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", part, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    )


def data_blocks() -> list[dict[str, Any]]:
    """What the page shows for `data`: the folder split by classes, another source, Parquet files."""
    shown = [yaml.safe_load(code) for code, _ in blocks(PAGE, "yaml")]
    return [block["data"] for block in shown if "data" in block]


def pictures(count: int) -> list[Image.Image]:
    """Images of several sizes, every third one grey; each differs from all others."""
    random = np.random.default_rng(0)
    sizes = random.integers(9, 15, (count, 2))
    images = [Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    return [image.convert("L") if index % 3 == 0 else image for index, image in enumerate(images)]


def write_folder(folder: Path) -> None:
    """A folder per class, half of the images JPEG, half PNG."""
    for index, image in enumerate(pictures(EACH * len(CLASSES))):
        path = folder / CLASSES[index // EACH] / f"{index:03d}.{'jpg' if index % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def write_parquet(folder: Path) -> None:
    """The same images in two files, as the Hugging Face Hub has them."""
    import io
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    labels, images = [], []
    for index, image in enumerate(pictures(EACH * len(CLASSES))):
        content = io.BytesIO()
        image.save(content, "PNG")
        images.append({"bytes": content.getvalue(), "path": f"{index}.png"})
        labels.append(index // EACH)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(CLASSES)}}
    table = pa.table({"image": images, "label": labels})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table.slice(0, 50), folder / "train-00000-of-00002.parquet")
    pq.write_table(table.slice(50), folder / "train-00001-of-00002.parquet")


def edit(params: Path, data: dict[str, Any]) -> None:
    """Change what section 3 tells to change, and make everything small enough for a test."""
    content = yaml.safe_load(params.read_text())
    (run,) = (
        block["run"] for block in map(yaml.safe_load, (code for code, _ in blocks(PAGE, "yaml"))) if "run" in block
    )
    content["run"].update(run, methods=list(METHODS))
    content["compute"] = {"workers": 1, "threads": 1, "device": "cpu"}
    suite: Suite = content["suites"]["own"]
    suite["data"].update(data)
    for ref in (suite["data"]["source"], *suite["data"]["targets"]):
        ref["size"] = 8
    suite["model"]["width"] = 0.0625
    suite["grid"].update(budgets=[0.5, 0.1], seeds=[0])
    suite["training"]["steps"] = 2
    suite["transfer"]["draws"] = 1
    for recipe in ("finetune", "scratch"):
        suite["transfer"][recipe]["steps"] = 2
    suite["methods"]["dap"]["params"] = {"steps": 3, "restarts": 1, "warmup": 1}
    suite["methods"]["lottery_ticket"]["params"] = {"drop": 0.7}
    params.write_text(yaml.safe_dump(content))


def shell(script: str, folder: Path) -> tuple[str, Path]:
    """Run a section's commands in one shell; returns what they printed and the folder where they ended."""
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-euc", f"{script}\npwd"],
        cwd=folder,
        env=os.environ | {"PATH": os.pathsep.join(places), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    *printed, place = done.stdout.splitlines()
    return "\n".join(printed), Path(place)


def dapbench(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Run a command of the page in this process, in `folder`."""
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, [*line.split(), "--params", str(folder / "params.yaml")])


# The page, from the images to the network that is taken away


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sections 2 and 3, from a checkout that has only params.yaml."""
    checkout = tmp_path_factory.mktemp("own") / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "params.yaml", checkout)
    make, _, number = commands(2).rpartition("\n")
    _, folder = shell(make, checkout)
    write_folder(folder / "my-images")
    printed, _ = shell(number, folder)
    assert [line.split() for line in printed.splitlines()] == [[str(n), f"{name}/"] for n, name in enumerate(CLASSES)]
    edit(folder / "params.yaml", data_blocks()[0])
    return folder


@pytest.fixture(scope="module")
def ran(experiment: Path) -> Path:
    """That folder after the commands of section 4."""
    printed, _ = shell(commands(4), experiment)
    assert "suite own is valid" in printed
    return experiment


def test_rows_tables_figures_and_page_are_there(ran: Path) -> None:
    described = load_params(ran / "params.yaml")
    assert tuple(described.run.methods) == METHODS
    for method in described.methods_of("own"):
        rows, _ = read_results(ran / "reports" / "results" / "own" / f"{method}.json")
        # weights modes x shots x budgets, of the default and every variant
        grid = 2 * 2 * (1 if method == "dense" else 2)
        assert len(rows) == grid * (1 + len(described.variants_of("own", method)))
        assert {row.target for row in rows} == {"my-target"}
        assert all(0 <= row.accuracy <= 1 for row in rows)
    table = (ran / "reports" / "tables" / "own" / "main.md").read_text()
    assert "My images" in table
    assert "DAP" in table
    assert (ran / "reports" / "figures" / "own" / "accuracy.svg").exists()
    page = (ran / "reports" / "index.html").read_text()
    assert "My images" in page
    assert "figures/own/accuracy" in page


def test_the_checkout_stays_as_it_is(ran: Path) -> None:
    assert sorted(path.name for path in (ran.parent / "checkout").iterdir()) == ["params.yaml"]


def test_an_architecture_goes_from_the_grid_into_a_module(
    ran: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ran)
    jobs = set(Path(".jobs").glob("??/*"))
    for line in commands(5).splitlines():
        result = CliRunner().invoke(app, line.split()[1:])
        assert result.exit_code == 0, result.output
        if "transfer" in line:
            assert re.search(r"my-target +5 +\d", result.stdout)
    assert set(Path(".jobs").glob("??/*")) == jobs  # the grid's own: nothing was searched
    ((code, _),) = blocks(PAGE, "python")
    exec(code, {})
    assert re.fullmatch(r"\d+ parameters, then Linear\(.*out_features=3.*\)\n", capsys.readouterr().out)


# The other kinds of data


@pytest.mark.parametrize("index", [1, 2], ids=["another source", "parquet"])
def test_other_data_run_too(index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    write_folder(tmp_path / "my-images")
    write_parquet(tmp_path / "my-set")
    edit(tmp_path / "params.yaml", data_blocks()[index])
    result = dapbench(tmp_path, "run --suite own --method uniform --jobs 1", monkeypatch)
    assert result.exit_code == 0, result.stderr
    rows, _ = read_results(tmp_path / "reports" / "results" / "own" / "uniform.json")
    assert {row.target for row in rows} == {data_blocks()[index]["targets"][0]["label"]}


# The template


def test_the_template_is_what_the_page_shows_and_runs_all_methods() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    data = content["suites"]["own"]["data"]
    assert {key: data[key] for key in ("source", "targets")} == data_blocks()[0]
    own = content["suites"]["own"]
    assert sorted([*own["methods"], *own["exclude"]]) == sorted(content["run"]["methods"])
    # What is left out serves no suite of channels.
    assert not any("channel" in pruners()[name].granularities for name in own["exclude"])
    assert "own" not in content["run"]["suites"]


def test_every_setting_that_a_user_may_change_has_a_comment() -> None:
    lines = (ROOT / "params.yaml").read_text().split("\n  own:\n")[1].splitlines()
    for key in (
        "title",
        "source",
        "pool",
        "granularities",
        "budgets",
        "seeds",
        "training",
        "weights",
        "shots",
        "draws",
    ):
        (number,) = (n for n, line in enumerate(lines) if re.match(rf"\s+{key}:", line))
        assert "  # " in lines[number] or lines[number - 1].lstrip().startswith("# "), key


def test_the_template_disturbs_nobody_who_has_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    result = dapbench(tmp_path, "validate --suite digits", monkeypatch)
    assert (result.exit_code, result.stderr) == (0, "")


# Mistakes

Mistake = Callable[[Suite, Path], object]


def put(part: str, **values: Any) -> Mistake:
    """Change the references of the source, of the target, or of both."""

    def change(suite: Suite, images: Path) -> None:
        for name, ref in (("source", suite["data"]["source"]), ("target", suite["data"]["targets"][0])):
            if part in (name, "both"):
                ref.update(values)

    return change


def thin_out(name: str, left: int) -> Mistake:
    """Leave so many images of a class."""
    return lambda suite, images: [path.unlink() for path in sorted((images / name).iterdir())[left:]]


def flatten(suite: Suite, images: Path) -> None:
    for path in images.glob("*/*"):
        path.rename(images / path.name)
    for path in images.iterdir():
        if path.is_dir():
            path.rmdir()


def into_parts(suite: Suite, images: Path) -> None:
    for part in ("train", "test"):
        shutil.copytree(images, images.parent / "parts" / part)
    shutil.rmtree(images)
    (images.parent / "parts").rename(images)


def spoil(suite: Suite, images: Path) -> None:
    next((images / "birch").glob("*.png")).write_bytes(b"not an image")


MISTAKES: dict[str, Mistake] = {
    "is not a folder; expected imagefolder:PATH": lambda suite, images: shutil.rmtree(images),
    "class folders; expected PATH/CLASS/IMAGE with two or more": flatten,
    "holds the parts ..., not classes": into_parts,
    "one class is no task": put("target", classes=[3]),
    "is not a class of ...; its classes count from 0 to": put("target", classes=[3, 9]),
    "too few for a train, a validation and a test part": thin_out("birch", 3),
    "and some must stay for the test": thin_out("elm", 10),
    "images of ... and of ...; give the data set ... to make them alike": put("both", channels=None),
    "images of ..., but the source's are": put("target", channels="grey"),
    "not a readable image": spoil,
    "has no images": thin_out("oak", 0),
    "is less than the smallest ... architecture of": lambda suite, images: suite["grid"].update(budgets=[0.0001]),
}


def parts(message: str) -> list[str]:
    return re.split(r"\s*\.\.\.,?\s*", message)


def test_the_page_s_table_has_these_mistakes() -> None:
    rows = TEXT[TEXT.index("| message | remedy |") :].splitlines()[2:]
    assert [row.split(" | ")[0].strip("| `") for row in rows] == list(MISTAKES)


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_refused_with_the_message_on_the_page(
    message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    write_folder(tmp_path / "my-images")
    params = tmp_path / "params.yaml"
    edit(params, data_blocks()[0])
    content = yaml.safe_load(params.read_text())
    MISTAKES[message](content["suites"]["own"], tmp_path / "my-images")
    params.write_text(yaml.safe_dump(content))
    result = dapbench(tmp_path, "run --suite own", monkeypatch)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for part in parts(message):
        assert part in result.stderr


def test_images_that_became_too_few_are_refused_although_they_were_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    write_folder(tmp_path / "my-images")
    edit(tmp_path / "params.yaml", data_blocks()[0])
    assert dapbench(tmp_path, "validate --suite own", monkeypatch).exit_code == 0
    thin_out("birch", 3)({}, tmp_path / "my-images")
    result = dapbench(tmp_path, "validate --suite own", monkeypatch)
    assert result.exit_code == 2
    assert "too few for a train, a validation and a test part" in result.stderr
