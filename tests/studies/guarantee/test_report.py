"""The result file, its table and figures; and that what is committed is what it gives, and what the page says of it."""

import json
from pathlib import Path

import pytest
import yaml
from matplotlib.text import Text
from toys import small
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.errors import BenchError
from benchmark.jobs.fingerprint import PLUMBING, _imports, _source
from benchmark.report.figures import style
from benchmark.studies.guarantee import figures, measure, results, tables
from benchmark.studies.guarantee.measure import MARKS

ROOT = Path(__file__).parents[3]
NAMES = ("steps", "temperatures", "batches", "last", "rounding")
FOLDER = ROOT / "reports" / "guarantee"


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> dict:
    """All experiments on two small problems and few steps, written and read."""
    patch = pytest.MonkeyPatch()
    patch.setattr(measure, "problems", lambda: small()[:2])
    patch.setattr(measure.whole_gradients, "__defaults__", ([1, 3, 10, 32],))
    for function in (measure.batches, measure.hidden_signs):
        patch.setattr(function, "__defaults__", ((10, 32),))
    patch.setattr(measure.rounded, "__defaults__", (50,))
    told: list[str] = []
    content = measure.measure(told.append)
    patch.undo()
    assert told == [*(problem.title for problem in small()[:2]), "signs hidden by noise"]
    folder = tmp_path_factory.mktemp("guarantee")
    results.write(folder, content)
    return results.read(folder)


def test_what_is_written(document, tmp_path, monkeypatch) -> None:
    assert document["verdict"]["exceeded"] == 0
    assert len(document["full"]) == 2 * 6 and len(document["last"]) == 2 * 3
    assert len(document["batches"]) == 3 * 2 and len(document["rounding"]) == 2 * 6
    tables.write(document, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"guarantee.md", "guarantee.csv"}
    saved: list[Path] = []
    monkeypatch.setattr(style, "save", lambda figure, path: saved.append(path))
    names = figures.draw(document, tmp_path)
    assert set(names) == set(NAMES) and saved == [tmp_path / name for name in names]


def test_the_points_are_all_there(document) -> None:
    points = tables.points(document)
    assert len(points) == (2 * 6 + 2 * 3) * 4 + 3 * 2 * 2
    assert all(point["gap"] <= point["bound"] for point in points if point["half"] is None)
    page = tables.markdown(document)
    assert page.startswith(f"# The guarantee, measured\n\n{tables.line(document)}\n")
    for problem in document["problems"]:
        assert f"| {problem['title']} | {problem['loss']} | {problem['units']} |" in page


def test_the_verdict_in_a_line(document) -> None:
    line = tables.line(document)
    assert "none of" not in line.split(". ")[0] and "none exceed the bound" in line
    wrong = {**document, "verdict": {**document["verdict"], "exceeded": 3}}
    assert f"Of {document['verdict']['compared']} comparisons 3 exceed the bound." in tables.line(wrong)


def test_no_text_of_a_figure_lies_upon_another(document) -> None:
    with style.context():
        for name in NAMES:
            figure = getattr(figures, name)(document)
            figure.draw_without_rendering()
            inside = figure.bbox.expanded(1.002, 1.002)
            boxes = [
                (text.get_text(), text.get_window_extent())
                for text in figure.findobj(Text)
                if text.get_visible() and text.get_text().strip() and text.get_window_extent().width > 0
            ]
            titles = [(text, box) for text, box in boxes if any(text == p["title"] for p in document["problems"])]
            assert len(titles) >= 2
            for index, (text, box) in enumerate(titles):
                assert inside.containsx(box.x0) and inside.containsx(box.x1), (name, text)
                assert not any(box.overlaps(other) for _, other in titles[index + 1 :]), (name, text)
            for legend in figure.legends:
                box = legend.get_window_extent()
                assert inside.containsx(box.x0) and inside.containsx(box.x1), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("full"), "not a result file of the guarantee"),
        (lambda d: d.update(schema=99), "schema 99, this version reads"),
        (lambda d: d["full"][1].pop("seen"), "full 1 has other fields"),
        (lambda d: d["verdict"].pop("rise"), "its verdict has other fields"),
    ],
)
def test_another_file_is_refused(document, tmp_path, change, message) -> None:
    content = json.loads(json.dumps(document))
    change(content)
    (tmp_path / results.NAME).write_text(json.dumps(content))
    with pytest.raises(BenchError, match=message):
        results.read(tmp_path)


def test_the_command(document, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measure, "measure", lambda _progress: document)
    drawn: list[Path] = []
    monkeypatch.setattr(figures, "draw", lambda _document, folder: drawn.append(folder))
    done = CliRunner().invoke(app, ["guarantee", "--only", "measure", "--out", str(tmp_path)])
    assert (done.exit_code, [path.name for path in tmp_path.iterdir()]) == (0, [results.NAME])
    assert tables.line(document) in done.stdout
    done = CliRunner().invoke(app, ["guarantee", "--only", "report", "--out", str(tmp_path)])
    assert done.exit_code == 0 and drawn == [tmp_path] and (tmp_path / "guarantee.md").exists()
    done = CliRunner().invoke(app, ["guarantee", "--only", "all"])
    assert done.exit_code == 2 and done.stderr.startswith("error: --only: unknown part 'all'")
    wrong = {**document, "verdict": {**document["verdict"], "exceeded": 1}}
    monkeypatch.setattr(measure, "measure", lambda _progress: wrong)
    assert CliRunner().invoke(app, ["guarantee", "--only", "measure", "--out", str(tmp_path)]).exit_code == 1


# What is committed


@pytest.fixture(scope="module")
def committed() -> dict:
    return results.read(FOLDER)


def test_the_committed_files_are_what_the_result_file_gives(committed, tmp_path) -> None:
    tables.write(committed, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name
    with style.context():
        for name in NAMES:
            drawn = getattr(figures, name)(committed)
            assert style.rendered(drawn, "svg") == (FOLDER / f"{name}.svg").read_bytes(), name


def test_the_committed_results_are_of_the_present_plan(committed) -> None:
    assert len(committed["problems"]) == 6
    assert sum(problem["units"] <= 16 for problem in committed["problems"]) == 3
    assert committed["problems"][-1]["units"] == 1000
    assert all(problem["uncertain"] < 1e-8 for problem in committed["problems"])
    assert all(record["steps"] == MARKS for record in committed["full"])
    assert MARKS[-1] / MARKS[0] == 10_000


def test_what_the_page_says_of_the_figures(committed) -> None:
    assert committed["verdict"]["exceeded"] == 0
    assert committed["verdict"]["rise"] < 1e-14
    # The noisy signs: a constant distance from the bound.
    shares = [
        point["average"] / point["bound"]
        for record in committed["batches"]
        if record["problem"] == "coin" and record["ratio"] == 0
        for point in record["points"]
    ]
    assert len(shares) == 7 and min(shares) > 0.6 and max(shares) < 1.15 * min(shares)
    # The last iterate at one temperature falls like 1 / T, at two times like 1 / T^2.
    at = {steps: index for index, steps in enumerate(MARKS)}
    for record in committed["last"]:
        if record["ratio"] > 0 and record["problem"] != "many-features":  # a thousand units need longer
            fall = record["last"][at[1000]] / record["last"][at[10_000]]
            power = {1.0: 10, 0.5: 100}[record["ratio"]]
            assert 0.6 * power < fall < 1.8 * power, (record["problem"], record["ratio"], fall)
    # A finite backward temperature costs at most its d; one temperature ever more.
    full = {(r["problem"], r["ratio"]): r for r in committed["full"] if r["tuned_for"] == 1000}
    for problem in (record["name"] for record in committed["problems"]):
        for ratio, constant in ((0.25, 1.06), (0.5, 1.24)):
            assert 1 <= full[problem, ratio]["average"][-1] / full[problem, 0.0]["average"][-1] < constant
        one = [full[problem, 1.0]["average"][at[s]] / full[problem, 0.0]["average"][at[s]] for s in (100, 1000, 10_000)]
        assert one == sorted(one) and one[-1] > 1.3
    # Settled gates and gates above one half are mostly the best architecture.
    for kind in ("settled", "threshold"):
        assert sum(record[kind] < 1e-9 for record in committed["rounding"]) > len(committed["rounding"]) / 2


def test_its_pipeline_depends_on_every_file_that_decides_a_result() -> None:
    stages = yaml.safe_load((FOLDER / "dvc.yaml").read_text())["stages"]
    found, waiting = set(), ["benchmark.studies.guarantee.measure"]
    while waiting:
        name = waiting.pop()
        if name not in found and name.startswith("benchmark.") and name not in PLUMBING and _source(name):
            found.add(name)
            waiting += _imports(name)
    paths = {str(_source(name).relative_to(ROOT)) for name in found if _source(name).stat().st_size}
    # How images are kept and read does not decide what they are.
    paths = {path for path in paths if not path.startswith("benchmark/data/")} - {"benchmark/provenance.py"}
    paths = {path for path in paths if not path.endswith("__init__.py")}
    assert paths | {"benchmark/data/sets/digits.py"} == set(stages["measure"]["deps"])
    outs = {next(iter(out)) for stage in stages.values() for out in stage["outs"]}
    made = {path.name for path in FOLDER.iterdir()} - {"dvc.yaml", "dvc.lock"}
    assert outs == {f"reports/guarantee/{name}" for name in made}


def test_the_default_pipeline_leaves_it_alone() -> None:
    assert "guarantee" not in (ROOT / "dvc.yaml").read_text()
