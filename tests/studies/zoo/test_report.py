from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchError
from benchmark.files import read_json, write_json
from benchmark.studies.zoo import report
from benchmark.studies.zoo.check import Errors, Row, Whole, refused


def served(name: str, family: str, **fields: Any) -> Row:
    good: dict[str, Any] = {
        "status": "ok",
        "input": 64,
        "params": 2_345_678,
        "macs": 120_000_000,
        "share": 0.954,
        "groups": 12,
        "units": 345,
        "minimum": 0.0123,
        "complexities": [0.5, 0.1, 0.02],
        "effect": 1.5,
        "errors": Errors(float64=2e-15, float32=3e-7, gradient=4e-14, statistics=None),
        "costs": True,
        "seconds": 3.2,
    }
    return Row(**{**refused(name, family, ""), **good, **fields})


ROWS = [
    served("torchvision:alexnet", "alexnet"),
    served(
        "torchvision:resnet18",
        "resnet",
        errors=Errors(float64=6e-15, float32=5e-7, gradient=1e-13, statistics=1e-16),
        whole=[Whole(reason="norm in a.#.b mixes them", groups=2), Whole(reason="norm in c mixes them", groups=3)],
    ),
    served(
        "torchvision:odd",
        "odd",
        note="no training step: it draws random numbers",
        whole=[Whole(reason="norm in a.#.c mixes them", groups=4), Whole(reason="`a | b` in file.py", groups=1)],
    ),
    refused("timm:strange", "strange", "torch.roll moves channels"),
]


PROVENANCE = {"device": "cpu", "machine": {"cpu": "Some Processor 9"}}


def content(rows: list[Row] = ROWS) -> report.Document:
    versions = {"torch": "9.1", "torchvision": "9.2", "timm": "9.3"}
    return {"schema": report.SCHEMA, "rows": rows, "provenance": PROVENANCE, "versions": versions}


def test_totals_are_counted_per_library() -> None:
    assert report.totals(content()) == (
        "Served: 3 of 3 of torchvision's classifiers (100\u00a0%) and 0 of 1 of timm's families (0\u00a0%)."
    )
    assert report.totals(content(ROWS[:2])) == "Served: 2 of 2 of torchvision's classifiers (100\u00a0%)."


def test_the_summary_names_the_refused_and_the_largest_errors() -> None:
    assert report.summary(content()) == (
        f"{report.totals(content())} Masked and extracted networks differ by at most 6e-15 in double precision and "
        "5e-07 in single precision, in standard deviations of the outputs. Refused: strange. Reasons, shares and "
        "errors of each are in [the table](reports/zoo.md)."
    )


def test_a_page_says_what_is_served_what_is_not_and_how_exactly() -> None:
    page = report.markdown(content())
    assert "Made with torch 9.1, torchvision 9.2, timm 9.3 on Some Processor 9 by `dapbench zoo`." in page
    line = "| alexnet | alexnet | ok | 64 | 2.35\u00a0M | 120.00\u00a0M | 12 | 345 | 95\u00a0% | 1.2\u00a0% |"
    assert f"\n{line} 2e-15 | 3e-07 | 4e-14 |\n" in page
    assert "\n| timm:strange | strange | – | torch.roll moves channels |\n" in page
    assert "\n| norm mixes them | 2 | 9 |\n| `a \\| b` in file.py | 1 | 1 |\n" in page
    assert "\n- torchvision:odd: no training step: it draws random numbers\n" in page
    # medians of 2, 6 and 2; of 4, 10 and 4
    assert "\n| outputs, double precision | 3 | 2.0e-15 | 6.0e-15 | torchvision:resnet18 |\n" in page
    assert "\n| gradients of a training step | 3 | 4.0e-14 | 1.0e-13 | torchvision:resnet18 |\n" in page
    assert "\n| running statistics after it | 1 | 1.0e-16 | 1.0e-16 | torchvision:resnet18 |\n" in page
    assert "Costs are equal for 3 of 3 networks." in page


def test_a_page_of_networks_that_are_all_served_has_no_empty_part() -> None:
    page = report.markdown(content(ROWS[:1]))
    for title in ("Refused", "Not compared", "Left whole", "timm"):
        assert f"## {title}" not in page


def test_rows_made_anew_take_the_place_of_those_before_and_the_others_are_carried_over() -> None:
    better = served("timm:strange", "strange")
    first = report.updated(content(), [better])
    assert first["rows"] == [*ROWS[:3], better]
    assert first["provenance"]["carried"] == {"rows": 3, "machines": ["Some Processor 9"]}
    assert "by `dapbench zoo`; 3 rows carried over from earlier runs on Some Processor 9." in report.markdown(first)
    first["provenance"] = {**first["provenance"], "machine": {"cpu": "Another"}, "device": "cpu"}
    second = report.updated(first, [ROWS[0]])
    assert second["provenance"]["carried"] == {"rows": 3, "machines": ["Some Processor 9", "Another"]}
    assert "carried" not in report.updated(second, second["rows"])["provenance"]
    with pytest.raises(BenchError, match=r"^timm:new: not in zoo.json"):
        report.updated(content(), [served("timm:new", "new")])


def test_files_agree_until_one_is_changed(tmp_path: Path) -> None:
    assert report.write(tmp_path, report.document(ROWS)) == report.read(tmp_path / "zoo.json")
    assert read_json(tmp_path / "zoo.json")["rows"] == ROWS
    assert set(read_json(tmp_path / "zoo.json")["versions"]) == {"torch", "torchvision", "timm"}
    assert report.agrees(tmp_path)
    (tmp_path / "zoo.md").write_text((tmp_path / "zoo.md").read_text().replace("alexnet", "blexnet"))
    assert not report.agrees(tmp_path)
    (tmp_path / "zoo.md").unlink()
    assert not report.agrees(tmp_path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema": 99}, "schema 99, this version reads 1"),
        ({"more": 1}, "not a result file of the zoo"),
        ({"rows": [{"model": "timm:strange"}]}, "row 0 has other fields than a row of the zoo"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    write_json(tmp_path / "zoo.json", {**content(), **change})
    with pytest.raises(BenchError, match=fault) as error:
        report.read(tmp_path / "zoo.json")
    assert str(error.value).startswith(str(tmp_path / "zoo.json"))
