"""A pruner of another package: named by an entry point and by one line of params.yaml, tested like all others."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchmark.analysis.rows import read_results
from benchmark.config.params import load_params
from benchmark.pipeline.stages import stage
from benchmark.pruning.registry import pruners

ROOT = Path(__file__).parents[2]
# It uses all that a problem offers: pretrained weights, the accuracy oracle and retraining.
MODULE = '''
"""Of two rankings of the pretrained weights, the one whose architectures are more accurate as they are."""

from benchmark.config.params import Section
from benchmark.pruning.importance import magnitude_importance
from benchmark.pruning.pruner import Problem, Pruner, SubNetwork


class BetterNorm(Pruner):
    """Rank by L1 and by L2 norm, keep what the source's validation part prefers, and train it on. Nobody 2026."""

    name = "better_norm"
    label = "the better norm"
    reference = "Nobody 2026"
    uses_pretrained = True
    trains = True

    class Parameters(Section):
        """None."""

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return trained sub-networks."""
        weights = problem.pretrained()
        rankings = [problem.project(magnitude_importance(problem.space, weights, norm)) for norm in ("l1", "l2")]
        found = []
        for candidates in zip(*rankings, strict=True):
            best = max(candidates, key=lambda sub: problem.evaluate(sub.mask, weights))
            found.append(SubNetwork(best.budget, best.mask, problem.retrain(best.mask, weights)))
            problem.progress(len(found) / len(problem.budgets))
        return found
'''


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the installed package."""
    folder = tmp_path_factory.mktemp("site")
    information = folder / "better-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: better\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[dapbench.pruners]\nbetter_norm = better_norm:BetterNorm\n")
    (folder / "better_norm.py").write_text(MODULE)
    return folder


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=os.pathsep)
    pruners.cache_clear()
    yield
    pruners.cache_clear()
    sys.modules.pop("better_norm", None)


def run(package: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}
    arguments = [sys.executable, "-m", *command]
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


def test_every_generic_test_passes_for_it(package: Path) -> None:
    done = run(package, "pytest", "-p", "no:cacheprovider", "tests/pruning/test_every_pruner.py", "-k", "better_norm")
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 30


@pytest.mark.usefixtures("installed")
def test_one_line_of_params_yaml_gives_rows(tiny_params: Path) -> None:
    content = yaml.safe_load(tiny_params.read_text())
    content["run"]["methods"] = [*content["run"]["methods"], "better_norm"]  # the line
    tiny_params.write_text(yaml.safe_dump(content))
    params, root = load_params(tiny_params), tiny_params.parent
    for name in ("data", "pretrain", "tune"):
        assert stage(params, name, "tiny", root=root) == 0
    for name in ("search", "transfer"):
        assert stage(params, name, "tiny", "better_norm", root=root) == 0
    rows, _ = read_results(root / "reports/results/tiny/better_norm.json")
    assert {row.budget for row in rows} == set(params.suites["tiny"].grid.budgets)
    assert all(row.search_flops > 0 and row.pretrain_flops > 0 for row in rows)


def test_the_command_line_runs_it_without_a_line(package: Path, tiny_params: Path) -> None:
    code = "from benchmark.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}
    command = ["run", "--suite", "tiny", "--method", "better_norm", "--seeds", "0", "--budgets", "0.2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--granularity", "channel", "--params", str(tiny_params)],
        cwd=tiny_params.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"better_norm +channel +params +\d+\.\d", done.stdout)
    assert "add it to run.methods of params.yaml: better_norm" in done.stdout
    assert not (tiny_params.parent / "reports").exists()
