"""A method of another package, from its rows to a table in a folder where nobody has the package."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from submitted import resealed
from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.pruning.registry import pruners

REPOSITORY = Path(__file__).parents[2]
LOUDEST = '''
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.pruner import Problem, Pruner, SubNetwork


class Loudest(Pruner):
    """Keep the units whose initial weights are largest."""

    name = "loudest"
    reference = "an example"

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return one architecture per budget."""
        return problem.project(magnitude_importance(problem.space, problem.initial(), "l2"))
'''


def ask(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--params", str(folder / "params.yaml")], env={"COLUMNS": "200"})


def describe(folder: Path, tiny_text: str, methods: list[str]) -> None:
    folder.mkdir()
    params = yaml.safe_load(tiny_text)
    params["run"]["methods"] = methods
    params["suites"]["tiny"]["grid"] |= {"granularities": ["channel"], "seeds": [0]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> Path:
    """A folder with `loudest.json`, made where the package is, and `theirs`, a checkout that does not know of it."""
    folder = tmp_path_factory.mktemp("contribution")
    site = folder / "site"
    (site / "loud-2.1.dist-info").mkdir(parents=True)
    (site / "loud-2.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 2.1\n")
    (site / "loud-2.1.dist-info" / "RECORD").write_text("loud_pruner.py,,\n")
    (site / "loud-2.1.dist-info" / "entry_points.txt").write_text("[dapbench.pruners]\nloud = loud_pruner:Loudest\n")
    (site / "loud_pruner.py").write_text(LOUDEST)
    ours, theirs = folder / "ours", folder / "theirs"
    describe(ours, tiny_text, ["dense", "uniform", "loudest"])
    describe(theirs, tiny_text, ["dense", "uniform"])
    with pytest.MonkeyPatch.context() as installed:
        installed.syspath_prepend(str(site))
        installed.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        pruners.cache_clear()
        assert ask(ours, "run").exit_code == 0
        told = ask(ours, "submit", "--suite", "tiny", "--method", "loudest", "--out", str(folder / "loudest.json"))
    pruners.cache_clear()
    sys.modules.pop("loud_pruner", None)
    assert told.exit_code == 0, told.stderr
    # 2 budgets x 3 weights modes x 2 shots x 2 draws
    assert "24 rows of loudest on tiny, 2 architectures" in told.stdout
    for name in ("data", "reports"):
        shutil.copytree(ours / name, theirs / name, ignore=shutil.ignore_patterns("loudest*"))
    return folder


@pytest.fixture
def theirs(submitted: Path, tmp_path: Path) -> Path:
    """The checkout as it was."""
    return Path(shutil.copytree(submitted / "theirs", tmp_path / "theirs"))


def stored(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("reports/contributed/*/*")]


def test_the_file_is_the_pipeline_s_own_files_put_together(submitted: Path) -> None:
    content = json.loads((submitted / "loudest.json").read_text())
    results = submitted / "ours" / "reports" / "results" / "tiny"
    assert content["results"] == json.loads((results / "loudest.json").read_text())
    assert content["search"] == json.loads((results / "loudest.search.json").read_text())
    assert content["package"] == {"name": "loud", "version": "2.1"}
    assert set(content["architectures"]) == {row["architecture"] for row in content["results"]["rows"]}


def test_rows_are_computed_again_and_shown_as_contributed(submitted: Path, theirs: Path) -> None:
    result = ask(theirs, "import", str(submitted / "loudest.json"), "--rerun", "2", "--exact", "--seed", "1")
    assert result.exit_code == 0, result.stderr
    assert "rows drawn by --seed 1" in result.stdout
    # One processor, so every row of the two retrainings has the same bits.
    assert "2 retrainings, 8 of 8 rows equal bit for bit" in result.stdout
    assert stored(theirs) == ["loudest.json"]
    shown = ask(theirs, "report")
    assert shown.exit_code == 0, shown.stderr
    assert "loudest (contributed)" in shown.stdout
    rows = json.loads((submitted / "loudest.json").read_text())["results"]["rows"]
    place = {"granularity": "channel", "budget": 0.1, "weights": "fresh", "shots": 5}
    accuracies = [row["accuracy"] for row in rows if place.items() <= row.items()]
    table = (theirs / "reports" / "tables" / "tiny" / "main.md").read_text()
    line = next(line for line in table.splitlines() if line.startswith("| loudest (contributed)"))
    assert line.split(" | ")[2] == f"{100 * sum(accuracies) / len(accuracies):.1f}"
    assert "Computed by others: loudest from loud 2.1, on" in table
    page = (theirs / "reports" / "index.html").read_text()
    assert 'id="tiny-contributed"' in page and "loudest (contributed)" in page


def test_what_is_contributed_changes_nothing_else(submitted: Path, theirs: Path) -> None:
    assert ask(theirs, "report").exit_code == 0
    summary = theirs / "reports" / "analysis" / "tiny" / "summary.json"
    before = json.loads(summary.read_text())
    assert ask(theirs, "import", str(submitted / "loudest.json")).exit_code == 0
    assert ask(theirs, "report").exit_code == 0
    after = json.loads(summary.read_text())
    assert [one["method"] for one in after.pop("contributed")] == ["loudest"]
    assert {**before, "checksum": ""} == {**after, "checksum": ""}


def changed(content: dict[str, Any], folder: Path) -> str:
    (folder / "changed.json").write_text(json.dumps(resealed(content)))
    return str(folder / "changed.json")


def test_a_rerun_finds_what_the_file_alone_does_not_tell(submitted: Path, theirs: Path, tmp_path: Path) -> None:
    content = copy.deepcopy(json.loads((submitted / "loudest.json").read_text()))
    for row in content["results"]["rows"]:
        row["accuracy"] += 0.2
    result = ask(theirs, "import", changed(content, tmp_path), "--rerun", "1", "--seed", "3")
    assert result.exit_code == 2
    assert "changed.json: results.rows: 20.0 points above what the architectures give" in result.stderr
    assert stored(theirs) == []


def test_a_refused_file_is_one_line_and_writes_nothing(submitted: Path, theirs: Path, tmp_path: Path) -> None:
    content = json.loads((submitted / "loudest.json").read_text())
    content["results"]["rows"][0]["accuracy"] = 1.5
    for file, message in (
        (changed(content, tmp_path), "changed.json: results.rows.0.accuracy: Input should be less than or equal to 1"),
        (str(tmp_path / "absent.json"), "absent.json: no such file"),
    ):
        result = ask(theirs, "import", file)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert message in result.stderr
    assert stored(theirs) == []


class PullRequest:
    """A checkout with git, and a commit that is not checked out and brings one file of results."""

    def __init__(self, folder: Path, place: str, content: str) -> None:
        self.folder = folder
        (folder / ".ci").mkdir()
        shutil.copy(REPOSITORY / ".ci" / "contributed", folder / ".ci")
        (folder / ".gitignore").write_text("/.jobs/\n/data/\n")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()
        self.git("checkout", "--quiet", "-b", "theirs")
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_text(content)
        # What must not run.
        (folder / "params.yaml").write_text("run: {suites: []}")
        self.commit()
        self.git("checkout", "--quiet", "main")

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "more")

    def check(self, rows: int) -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            [".ci/contributed", "theirs", str(rows)],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )


def test_a_pull_request_is_checked_with_the_code_it_is_merged_into(submitted: Path, theirs: Path) -> None:
    content = (submitted / "loudest.json").read_text()
    done = PullRequest(theirs, "reports/contributed/tiny/loudest.json", content).check(rows=1)
    assert done.returncode == 0, done.stderr
    assert "rerun: 1 retrainings, 4 of 4 rows equal bit for bit" in done.stdout
    assert stored(theirs) == ["loudest.json"]


@pytest.mark.parametrize(
    ("place", "broken", "message"),
    [
        ("tiny/other.json", False, "error: reports/contributed/tiny/other.json: not where a file of its suite"),
        ("tiny/loudest.json", True, "not a readable JSON file"),
    ],
)
def test_a_pull_request_with_a_file_that_is_refused_fails(
    submitted: Path, theirs: Path, place: str, broken: bool, message: str
) -> None:
    content = (submitted / "loudest.json").read_text()
    done = PullRequest(theirs, f"reports/contributed/{place}", content[: -2 if broken else len(content)]).check(rows=0)
    assert done.returncode == 2
    assert message in done.stderr
    assert stored(theirs) == ([] if broken else ["loudest.json"])


def test_how_to_compute_again_goes_with_computing_again(submitted: Path, theirs: Path) -> None:
    for options in (["--exact"], ["--seed", "1"]):
        result = ask(theirs, "import", str(submitted / "loudest.json"), *options)
        assert result.exit_code == 2
        assert f"{options[0]}: says how rows are computed again; add --rerun N" in result.stderr
    assert stored(theirs) == []


def test_only_what_ran_can_be_submitted(theirs: Path, tmp_path: Path) -> None:
    for method, message in (
        ("random", "--method: random does not run in tiny; add it to run.methods"),
        ("loudest", "--method: unknown method 'loudest'"),
        ("dense", "artifacts/tiny/search/dense"),
    ):
        out = tmp_path / "out.json"
        result = ask(theirs, "submit", "--suite", "tiny", "--method", method, "--out", str(out))
        assert result.exit_code == 2 and message in result.stderr
        assert not out.exists()
