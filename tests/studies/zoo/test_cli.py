import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.studies.zoo import report
from benchmark.studies.zoo import run as runner
from benchmark.studies.zoo.check import Row, refused
from benchmark.studies.zoo.choices import Entry


def invoke(line: str) -> Result:
    return CliRunner().invoke(app, shlex.split(line)[1:], env={"COLUMNS": "200"})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Every network is served, without a process, but for those named bad or wrong; they are collected in the list."""
    found: list[str] = []

    def run(
        entries: list[Entry], folder: Path, jobs: int, limits: Any, on_row: Callable[[Row, bool], None]
    ) -> list[Row]:
        found.extend(entry.name for entry in entries)
        rows = [Row(**{**refused(entry.name, entry.family, ""), "status": "ok"}) for entry in entries]
        for row in rows:
            if row["model"] == "torchvision:vgg16":
                row.update(status="refused", reason="torch.roll moves channels")
            if row["model"] == "torchvision:vgg19":
                row.update(status="refused", reason="float64: error 1.0e-03", wrong=True)
            on_row(row, True)
        return rows

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.chdir(tmp_path)
    return found


def test_named_networks_are_checked_and_written_to_a_file(asked: list[str], tmp_path: Path) -> None:
    result = invoke("dapbench zoo --models torchvision:resnet18 timm:vit_tiny_patch16_224 --out rows.json --jobs 1")
    assert result.exit_code == 0, result.output
    assert asked == ["torchvision:resnet18", "timm:vit_tiny_patch16_224"]
    rows = report.read(tmp_path / "rows.json")["rows"]
    assert [row["model"] for row in rows] == asked
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert "zoo: 1/2: torchvision:resnet18 ok, 0.0 s" in result.stderr
    assert result.stdout == "2 of 2 networks are served\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.json"]


def test_a_refusal_is_told_and_only_wrong_numbers_are_a_failure(asked: list[str]) -> None:
    result = invoke("dapbench zoo --models torchvision:vgg16 --models torchvision:vgg11")
    assert result.exit_code == 0
    assert "torchvision:vgg16: refused: torch.roll moves channels\n" in result.stdout
    result = invoke("dapbench zoo --models torchvision:vgg19")
    assert result.exit_code == 1
    assert "torchvision:vgg19: refused: float64: error 1.0e-03\n" in result.stdout


def test_the_whole_zoo_is_written_to_reports_and_a_library_alone_is_not(asked: list[str], tmp_path: Path) -> None:
    assert invoke("dapbench zoo --library timm").exit_code == 0
    families = len(asked)
    assert families >= 98
    assert all(name.startswith("timm:") for name in asked)
    assert not (tmp_path / "reports").exists()
    (tmp_path / "README.md").write_text("<!-- zoo:begin -->\nold\n<!-- zoo:end -->\n")
    assert invoke("dapbench zoo").exit_code == 1  # because of VGG-19
    page = (tmp_path / "README.md").read_text()
    assert "Refused: vgg16, vgg19." in page and "old" not in page
    assert [row["model"] for row in report.read(tmp_path / "reports" / "zoo.json")["rows"]] == asked[families:]
    assert len(asked) == 2 * families + 80
    assert report.agrees(tmp_path / "reports")


def test_some_networks_are_put_into_the_reports(asked: list[str], tmp_path: Path) -> None:
    old = Row(**{**refused("torchvision:vgg11", "vgg", "old"), "seconds": 5.0})
    kept = refused("timm:strange", "strange", "kept")
    report.write(tmp_path / "reports", report.document([old, kept]))
    result = invoke("dapbench zoo --models torchvision:vgg11 --update")
    assert result.exit_code == 0, result.output
    rows = report.read(tmp_path / "reports" / "zoo.json")["rows"]
    assert [row["status"] for row in rows] == ["ok", "refused"] and rows[1] == kept
    assert report.agrees(tmp_path / "reports")
    result = invoke("dapbench zoo --models torchvision:vgg11 --update --out rows.json")
    assert result.exit_code == 2 and "--update: goes into reports/zoo.json" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("--models torchvision:resnet19", "unknown model 'torchvision:resnet19'"),
        ("--models resnet18", "unknown model 'resnet18'"),
        ("--library keras", "--library: unknown library 'keras'"),
        ("--library timm --models timm:vit_tiny_patch16_224", "give --models or --library"),
        ("--jobs 0", "--jobs"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(asked: list[str], arguments: str, fault: str) -> None:
    result = invoke(f"dapbench zoo {arguments}")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert fault in result.stderr
    assert asked == []


def test_a_folder_that_is_no_folder_is_one_line(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = invoke("dapbench zoo --models torchvision:resnet18 --out file/rows.json")
    assert result.exit_code == 2
    assert "file/rows.json: cannot be written" in result.stderr
