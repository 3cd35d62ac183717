"""Mistakes through the command line: one line that names the place and the remedy, exit code 2, nothing lost."""

import errno
import os
import pickle
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from architecture_files import architecture
from typer.testing import CliRunner

from benchmark.cli import app

PROGRAM = Path(sys.executable).with_name("dapbench")
# What may appear while input is checked: prepared data, and what was found to be valid.
MAY_APPEAR = ("data", ".jobs/validated", ".jobs/known", ".jobs/tmp")
Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Case:
    """A command in a folder with the tiny suite, after `change` of its params and `files` in the folder."""

    name: str
    command: str
    place: str
    remedy: str
    change: Change = lambda params: None
    files: Callable[[Path], object] = lambda folder: None
    process: bool = False


def tiny(params: dict[str, Any]) -> dict[str, Any]:
    suite: dict[str, Any] = params["suites"]["tiny"]
    return suite


def grid(**values: Any) -> Change:
    return lambda params: tiny(params)["grid"].update(values)


def section(key: str, /, **values: Any) -> Change:
    return lambda params: tiny(params)[key].update(values)


def method(name: str, /, **parameters: Any) -> Change:
    return lambda params: params["methods"].update({name: {"params": parameters}})


def source(**values: Any) -> Change:
    return lambda params: tiny(params)["data"]["source"].update(values)


def target(**values: Any) -> Change:
    return lambda params: tiny(params)["data"]["targets"][0].update(values)


def text(content: bytes, name: str = "params.yaml") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def few_images_to_tune_on(params: dict[str, Any]) -> None:
    source(classes=[0, 1, 2, 3])(params)
    section("data", pool=120)(params)
    section("transfer", shots=[120])(params)
    tiny(params)["tuning"] = {}


VALIDATE, RUN = "dapbench validate", "dapbench run"
PARAMS = [
    Case("no params", VALIDATE, "params.yaml", "--params", files=lambda f: (f / "params.yaml").unlink(), process=True),
    Case("empty params", VALIDATE, "params.yaml", "expected a mapping", files=text(b"")),
    Case("params cut short", VALIDATE, "params.yaml", "restore", files=text(b"run: {suites: [tiny\n"), process=True),
    Case("params not text", VALIDATE, "params.yaml", "restore", files=text(b"\xff\xfe\x00")),
    Case("key twice", VALIDATE, "params.yaml", "twice", files=text(b"run: {}\nrun: {}\n")),
    Case("unknown section", VALIDATE, "sutes", "did you mean 'suites'", lambda p: p.update(sutes={}), process=True),
    Case("unknown key", RUN, "suites.tiny.grid.budget", "did you mean 'budgets'", grid(budget=[0.1])),
    Case("missing key", RUN, "suites.tiny.grid.seeds", "add it", lambda p: tiny(p)["grid"].pop("seeds")),
    Case(
        "text for a number", RUN, "suites.tiny.training.lr", "expected a valid number", section("training", lr="fast")
    ),
    Case("number for a list", RUN, "suites.tiny.grid.seeds", "expected a list", grid(seeds=3)),
    Case("fraction for a count", RUN, "suites.tiny.training.steps", "integer", section("training", steps=1.5)),
    Case("yes for a seed", RUN, "suites.tiny.grid.seeds.0", "integer", grid(seeds=[True])),
    Case("unknown granularity", RUN, "suites.tiny.grid.granularities.0", "'channel'", grid(granularities=["layer"])),
    Case("unknown suite", f"{RUN} --suite tini", "--suite", "did you mean 'tiny'", process=True),
    Case("unknown suite in run", RUN, "run.suites", "did you mean", lambda p: p["run"].update(suites=["tini"])),
    Case("unknown method", f"{RUN} --method dab", "--method", "did you mean 'dap'"),
    Case("unknown method in params", RUN, "methods", "did you mean 'dap'", lambda p: p["methods"].update(dab={})),
    Case("unknown method in suite", RUN, "suites.tiny.methods", "'dap'", lambda p: tiny(p)["methods"].update(dab={})),
    Case("unknown data set", RUN, "suites.tiny.data.source.name", "did you mean 'digits'", source(name="digit")),
    Case("unknown model", RUN, "suites.tiny.model.name", "did you mean 'own:vgg16'", section("model", name="own:vgg")),
    Case("unknown stage", "dapbench stage serch --suite tiny", "stage", "did you mean 'search'"),
    Case("budget 0", RUN, "suites.tiny.grid.budgets.0", "between 0 and 1", grid(budgets=[0])),
    Case("budget 1.5", RUN, "suites.tiny.grid.budgets.1", "0.05 for 5 %", grid(budgets=[0.5, 1.5])),
    Case(
        "budget NaN", RUN, "suites.tiny.grid.budgets.0", "between 0 and 1", grid(budgets=[float("nan")]), process=True
    ),
    Case("budget too small", RUN, "suites.tiny.grid.budgets: 0.001", "raise the budget", grid(budgets=[0.5, 0.001])),
    Case("budgets twice", RUN, "suites.tiny.grid.budgets", "may be given once", grid(budgets=[0.5, 0.5])),
    Case("seeds twice", RUN, "suites.tiny.grid.seeds", "may be given once", grid(seeds=[1, 1])),
    Case("negative seed", RUN, "suites.tiny.grid.seeds.0", "greater than or equal to 0", grid(seeds=[-1])),
    Case("shots above the pool", RUN, "transfer.shots", "raise data.pool", section("transfer", shots=[21])),
    Case("no shots", RUN, "suites.tiny.transfer.shots.0", "greater than", section("transfer", shots=[0])),
    Case("pool above the class", RUN, "data.pool: 181", "lower data.pool", section("data", pool=181)),
    Case(
        "split leaves no test", RUN, "data.split", "below 1", section("data", split={"train": 0.9, "validation": 0.1})
    ),
    Case("class not there", RUN, "targets.0.classes", "count from 0 to 9", target(classes=[3, 10])),
    Case("one class", RUN, "suites.tiny.data.source.classes", "at least two", source(classes=[3])),
    Case("other image size", RUN, "suites.tiny.data.targets.0", "set `channels` and `size`", target(size=16)),
    Case("no such folder", RUN, "data.source", "no-such-folder", source(name="imagefolder:no-such-folder")),
    Case("negative temperature", RUN, "methods.dap.params.tau_low", "greater than", method("dap", tau_low=-1.0)),
    Case("tau_low > tau_high", RUN, "methods.dap.params: tau_low", "exceed", method("dap", tau_low=2.0, tau_high=1.0)),
    Case("unknown parameter", RUN, "methods.dap.params.tau_lw", "did you mean 'tau_low'", method("dap", tau_lw=0.1)),
    Case("wrong law", RUN, "methods.dap.params.law", "'restart'", method("dap", law="always")),
    Case(
        "suite's own parameter",
        RUN,
        "suites.tiny.methods.random.params.allocation",
        "'ratios'",
        lambda p: tiny(p)["methods"].update(random={"params": {"allocation": "fair"}}),
    ),
    Case(
        "suite's unknown variant",
        RUN,
        "suites.tiny.methods.random.variants: unknown variant 'ratio'",
        "did you mean 'ratios'",
        lambda p: tiny(p)["methods"].update(random={"variants": ["ratio"]}),
    ),
    Case("too many ways", RUN, "suites.tiny: data.targets: ways: 4 classes", "lower ways", target(ways=4)),
    Case("one way", RUN, "suites.tiny.data.targets.0.ways", "greater than or equal to 2", target(ways=1)),
    Case("shots above a target's pool", RUN, "transfer.shots: 6", "(or the target's)", target(shots=[6], pool=5)),
    Case("target's pool above the class", RUN, "data.pool: 181", "lower data.pool", target(pool=181)),
    Case(
        "too few classes to tune on",
        RUN,
        "suites.tiny: tuning: needs 4 source classes",
        "remove `tuning`",
        lambda p: tiny(p).update(tuning={}),
    ),
    Case(
        "too few images to tune on",
        RUN,
        "suites.tiny: tuning: needs 4 source classes with 120 training images each",
        "the source has 4 classes with 106 at least; remove `tuning` or take another source",
        few_images_to_tune_on,
    ),
    Case(
        "unknown control", RUN, "suites.tiny.transfer.controls.0", "'twice'", section("transfer", controls=["thrice"])
    ),
    Case("unknown distil", RUN, "suites.tiny.transfer.distil", "'structured'", section("transfer", distil="softmax")),
    Case(
        "variant's unknown distil",
        RUN,
        "methods.random.variants.ratios.distil",
        "'logits'",
        lambda p: p["methods"]["random"]["variants"]["ratios"].update(distil=True),
    ),
    Case(
        "a teacher of few shots",
        RUN,
        "suites.tiny.transfer.finetune.distil",
        "unknown key",
        lambda p: tiny(p)["transfer"]["finetune"].update(distil="logits"),
    ),
    Case(
        "a teacher's weight above 1",
        RUN,
        "suites.tiny.transfer.distillation.weight",
        "less than or equal to 1",
        section("transfer", distillation={"weight": 1.5}),
    ),
    Case(
        "a teacher without a source training",
        RUN,
        "suites.tiny.transfer: distil",
        "add it to weights",
        section("transfer", distil="logits", weights=["inherit"]),
    ),
    Case(
        "a variant that changes nothing",
        RUN,
        "methods.random.variants.ratios: a variant changes something",
        "add params or distil",
        lambda p: p["methods"]["random"]["variants"].update(ratios={"granularities": ["weight"]}),
    ),
    Case("headline of no suite", RUN, "run.headline", "'tiny'", lambda p: p["run"].update(headline="tini")),
    Case("class in two", RUN, "targets.0.classes", "4 is given twice", target(classes=[[3, 4], 4])),
    Case("class of none", RUN, "targets.0.classes.0", "at least 1 item", target(classes=[[], 3])),
    Case(
        "variant's parameter",
        RUN,
        "methods.random.variants.ratios.params.alocation",
        "did you mean 'allocation'",
        lambda p: p["methods"]["random"]["variants"]["ratios"].update(params={"alocation": "ratios"}),
    ),
    Case("unknown variant", "dapbench search --suite tiny --method random --variant x", "--variant", "known: ratios"),
    Case("budget option", "dapbench search --suite tiny --method dap --budget 5", "--budget", "such as 0.05"),
    Case("unknown method told", "dapbench methods dab", "NAME", "did you mean 'dap'"),
    Case("no seed", "dapbench search --suite tiny --method dap --seed x", "--seed", "--help", process=True),
    Case("MLflow elsewhere", "dapbench track --uri http://localhost", "--uri", "sqlite:///PATH"),
    Case("nothing to track", "dapbench track", "reports/results/tiny", "dvc repro"),
    Case("nothing to report", "dapbench report", "reports/results/tiny", "dapbench run"),
]


def truncated(folder: Path) -> None:
    text(architecture(folder)[:-100], "a.safetensors")(folder)


def changed(folder: Path) -> None:
    content = bytearray(architecture(folder))
    content[-1] ^= 1
    text(bytes(content), "a.safetensors")(folder)


def newer(folder: Path) -> None:
    content = architecture(folder)
    assert content.count(b'\\"schema\\":1') == 1
    text(content.replace(b'\\"schema\\":1', b'\\"schema\\":9'), "a.safetensors")(folder)


def pickled(folder: Path) -> None:
    architecture(folder)
    text(pickle.dumps({"features.0.weight": [1.0]}), "p.safetensors")(folder)


def torch_saved(folder: Path) -> None:
    import torch

    architecture(folder)
    torch.save({"features.0.weight": torch.zeros(1)}, folder / "p.safetensors")


def foreign_weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    architecture(folder)
    save_file({"layer.weight": torch.zeros(2, 2)}, folder / "w.safetensors")


def results(content: bytes) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        for name in ("dense", "uniform", "random", "magnitude"):
            path = folder / "reports" / "results" / "tiny" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return write


EXTRACT, TRANSFER = "dapbench extract a.safetensors", "dapbench transfer a.safetensors --suite tiny"
FILES = [
    Case("no architecture", "dapbench show a.safetensors", "a.safetensors", "architecture file"),
    Case("truncated architecture", TRANSFER, "a.safetensors", "copy or make the file again", files=truncated),
    Case("truncated, shown", "dapbench show a.safetensors", "a.safetensors", "again", files=truncated),
    Case("changed architecture", EXTRACT, "a.safetensors", "make it again", files=changed),
    Case("newer schema", EXTRACT, "a.safetensors: schema 9", "update dapbench", files=newer),
    Case(
        "made for another model",
        TRANSFER,
        "a.safetensors",
        "build the model",
        files=lambda folder: architecture(folder, width=0.125),
    ),
    Case(
        "extracted from another model",
        f"{EXTRACT} --model own:resnet20",
        "a.safetensors",
        "made for another model",
        files=architecture,
    ),
    Case("extract's unknown model", f"{EXTRACT} --model own:vgg61", "--model", "'own:vgg16'", files=architecture),
    Case("a pickle", "dapbench show p.safetensors", "p.safetensors", "expected a safetensors file", files=pickled),
    Case("a pickle as weights", f"{EXTRACT} --state p.safetensors", "p.safetensors", "safetensors file", files=pickled),
    Case("torch.save as weights", f"{EXTRACT} --state p.safetensors", "p.safetensors", "pickle", files=torch_saved),
    Case("foreign weights", f"{EXTRACT} --state w.safetensors", "w.safetensors", "large model", files=foreign_weights),
    Case(
        "a pickle to inherit",
        f"{TRANSFER} --weights inherit --state p.safetensors",
        "p.safetensors",
        "safetensors file",
        files=pickled,
    ),
    Case(
        "foreign weights to inherit",
        f"{TRANSFER} --weights inherit --state w.safetensors",
        "w.safetensors",
        "weights",
        files=foreign_weights,
    ),
    Case("no weights to inherit", f"{TRANSFER} --weights inherit", "a.weights", "--state", files=architecture),
    Case("unknown mode", f"{TRANSFER} --weights warm", "--weights", "known: fresh", files=architecture),
    Case("output in a file", f"{EXTRACT} --out params.yaml/n", "params.yaml/n", "writable", files=architecture),
    Case("a result file that is no JSON", "dapbench report", "dense.json", "restore", files=results(b'{"schema": 1,')),
    Case(
        "a row without fields",
        "dapbench report",
        "row 0",
        "restore",
        files=results(b'{"schema": 1, "rows": [{"suite": "tiny"}], "provenance": {}}'),
    ),
    Case(
        "newer results",
        "dapbench track",
        "schema 9",
        "update dapbench",
        files=results(b'{"schema": 9, "rows": [], "provenance": {}}'),
    ),
]
CASES = PARAMS + FILES


@pytest.fixture
def folder(tiny_params: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of a case; whoever computes a job in it fails the test."""
    monkeypatch.chdir(tiny_params.parent)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("benchmark.pipeline.stages.run_jobs", trains)
    monkeypatch.setattr("benchmark.protocol.transfer.compute", trains)
    yield tiny_params.parent


def trains(*_arguments: Any) -> None:
    raise AssertionError("something was trained")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, command: str, place: str, remedy: str, process: bool = False) -> None:
    """Run `command` and assert everything that every mistake has in common."""
    before = snapshot(folder)
    arguments = shlex.split(command)[1:]
    if process:
        done = subprocess.run([PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        code, stdout, stderr = done.returncode, done.stdout, done.stderr
    else:
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        code, stdout, stderr = result.exit_code, result.stdout, result.stderr
    after = snapshot(folder)
    assert code == 2, stderr
    assert stderr.startswith("error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    assert place in stderr
    assert remedy in stderr
    assert stdout == ""
    assert {name: after.get(name) for name in before} == before
    assert [name for name in after if name not in before and not name.startswith(MAY_APPEAR)] == []


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_refused_in_one_line(case: Case, folder: Path, tiny_text: str) -> None:
    params = yaml.safe_load(tiny_text)
    case.change(params)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    case.files(folder)
    refused(folder, case.command, case.place, case.remedy, case.process)


@pytest.mark.parametrize("command", ["dapbench validate", "dapbench run", "dapbench search --suite tiny --method dap"])
def test_a_full_disk_is_refused_before_anything_is_trained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "fsync", fails(errno.ENOSPC))
    refused(folder, command, "cannot be written (No space left on device)", "free some space")


def test_a_disk_that_fills_up_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture(folder)
    (folder / "n.safetensors").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fails(errno.ENOSPC))
    refused(folder, f"{EXTRACT} --out n.safetensors", "n.safetensors", "free some space")


def test_a_read_only_disk_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", fails(errno.EROFS))
    refused(folder, "dapbench run", "cannot be written (Read-only file system)", "make it writable")


def test_a_disk_error_from_anywhere_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.pipeline.stages.stage", fails(errno.ENOSPC, "reports/index.html"))
    refused(folder, "dapbench report", "reports/index.html", "free some space")


@pytest.mark.parametrize(
    ("options", "message"), [("rw", "MB are free on its disk"), ("ro", "cannot be written (Read-only file system)")]
)
def test_a_real_disk_that_is_nearly_full_or_read_only_is_refused(folder: Path, options: str, message: str) -> None:
    """On a file system of 1 MB, where one can be mounted."""
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (folder / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
        refused(folder, f"dapbench validate --params {folder}/params.yaml", str(folder), message)
    finally:
        subprocess.run(["umount", folder], check=True)


def fails(code: int, *path: str) -> Callable[..., Any]:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(code, os.strerror(code), *path)

    return fail


def test_a_gpu_that_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["compute"]["device"] = "cuda"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    refused(folder, "dapbench run", "compute.device", "write auto or cpu")


@pytest.mark.parametrize("member", ["../../outside.png", "/outside.png", "Greek/../../outside.png"])
def test_an_archive_member_that_climbs_out_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    from benchmark.data.download import RemoteFile, file_md5
    from benchmark.data.sets import omniglot_small

    archives = []
    for name in ("one.zip", "two.zip"):
        path = folder / "mirror" / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr(member, b"content")
        archives.append(RemoteFile(name, (), file_md5(path)))
    monkeypatch.setattr(omniglot_small, "_FILES", tuple(archives))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["data"] = {"mirrors": ["mirror"]}
    tiny(params)["data"]["source"] = {"name": "omniglot_small:Greek"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    refused(folder, "dapbench validate", "one.zip", "climbs out of the archive's folder")
    assert not (folder.parent / "outside.png").exists()


def test_a_data_file_with_another_checksum_is_refused(folder: Path) -> None:
    path = folder / "mirror" / "omniglot_small" / "images_background_small1.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not the archive")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["data"] = {"mirrors": ["mirror"]}
    tiny(params)["data"]["source"] = {"name": "omniglot_small:Greek"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    refused(folder, "dapbench validate", "images_background_small1.zip", "replace it")


@pytest.mark.parametrize(
    ("command", "place", "change"),
    [
        (RUN, "suites.tiny.methods.uniform", grid(granularities=["channel"])),
        (
            RUN,
            "methods.uniform.variants.wide.granularities",
            lambda p: p["methods"].update(uniform={"variants": {"wide": {"params": {}, "granularities": ["channel"]}}}),
        ),
        ("dapbench search --suite tiny --method uniform --granularity channel", "--granularity", lambda p: None),
    ],
    ids=["in a suite", "in a variant", "as an option"],
)
def test_a_granularity_that_a_method_does_not_serve_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, place: str, change: Change
) -> None:
    monkeypatch.setattr("baselines.uniform.Uniform.granularities", ("weight",))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    change(params)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    refused(folder, command, place, "weight")
