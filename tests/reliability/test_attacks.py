"""The attacks of `python -m benchmark.studies.reliability`, each with a few tries."""

import io
import random
import shlex
import traceback
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from synthetic_results import write_synthetic

from benchmark.analysis import analyse_suite, read_summary
from benchmark.cli import app
from benchmark.config.params import load_params
from benchmark.report.layers import layers, traces
from benchmark.report.view import View
from benchmark.studies.reliability import damage, suite
from benchmark.studies.reliability.command_lines import command_lines
from benchmark.studies.reliability.descriptions import fuzzed
from benchmark.studies.reliability.result_files import altered

SEED = 20


def call(root: Path, line: str) -> tuple[int, str]:
    """As `suite.call`, in this process, for the imports take longer than all the rest."""
    said = io.StringIO()
    with chdir(root), redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            app(shlex.split(line))
        except SystemExit as end:
            return (end.code if isinstance(end.code, int) else 1), said.getvalue()
        except Exception:
            return 1, traceback.format_exc()
    return 0, said.getvalue()


def test_hostile_descriptions_are_refused(tmp_path: Path) -> None:
    assert fuzzed(tmp_path, 60, random.Random(SEED)).faults == []


def test_wrong_command_lines_name_what_to_mend(tmp_path: Path) -> None:
    assert command_lines(tmp_path, 25, random.Random(SEED), call).faults == []


def test_altered_result_files_are_named_or_read(tmp_path: Path) -> None:
    params = load_params(suite.make(tmp_path / "suite") / "params.yaml")
    write_synthetic(tmp_path, params, "tiny")
    analyse_suite(params, "tiny", tmp_path)
    results = tmp_path / "reports" / "results" / "tiny"

    def read() -> None:
        analyse_suite(params, "tiny", tmp_path)
        layers(View(read_summary(tmp_path, "tiny")), results)
        traces(results)

    files = [path for path in sorted(results.glob("*.json")) if "timings" not in path.name]
    assert altered(files, [read], 60, random.Random(SEED)).faults == []


def run(root: Path) -> tuple[int, str]:
    return call(root, "run --suite tiny")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = suite.make(tmp_path_factory.mktemp("reliability") / "suite")
    code, told = run(root)
    assert code == 0, told
    return root


def test_damaged_jobs_are_named_set_aside_and_computed_again(finished: Path) -> None:
    rng, expected = random.Random(SEED), suite.left(finished)
    assert damage.damaged_jobs(finished, expected, 2, rng, run).faults == []
    assert damage.damaged_weights(finished, expected, rng, run).faults == []
    assert list((finished / ".jobs" / "damaged").iterdir())


def test_nothing_is_computed_of_damaged_data(finished: Path) -> None:
    expected = suite.left(finished)
    assert damage.damaged_data(finished, expected, 1, random.Random(SEED), run).faults == []
