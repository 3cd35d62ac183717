from pathlib import Path

import pytest
from synthetic_results import write_synthetic
from typer.testing import CliRunner, Result

from benchmark.analysis import analyse_suite, audit
from benchmark.cli import app
from benchmark.config.params import load_params


@pytest.fixture
def analysed(tiny_params: Path) -> Path:
    """The params.yaml of the tiny suite, beside its summaries."""
    write_synthetic(tiny_params.parent, load_params(tiny_params), "tiny")
    analyse_suite(load_params(tiny_params), "tiny", tiny_params.parent)
    return tiny_params


def ask(suite: str, params: Path) -> Result:
    return CliRunner().invoke(app, ["audit", suite, "--params", str(params)], env={"COLUMNS": "200"})


def test_what_is_broken_is_named_and_found(analysed: Path) -> None:
    result = ask("tiny", analysed)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    # The suite has two budgets and two seeds; no row of it is absent.
    for rule, kept, found in (
        ("at least 5 budgets over two orders of magnitude", "no", "2 budgets down to 0.1"),
        ("enough search seeds", "no", "2 seeds, at least 3 are asked for"),
        ("no budget is exceeded", "yes", "at most 100 % of a budget"),
    ):
        (line,) = (line for line in lines if line.startswith(rule))
        assert line.removeprefix(rule).split(maxsplit=1)[0] == kept
        assert found in line
    assert len(lines) == len(audit.RULES) + 2
    kept = sum(" yes  " in line for line in lines[1:-1])
    assert lines[-1] == f"tiny: {kept} of {len(audit.RULES)} rules are kept"


def test_a_suite_that_keeps_all_is_no_failure(analysed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "RULES", {"no budget is exceeded": audit.RULES["no budget is exceeded"]})
    result = ask("tiny", analysed)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "tiny: 1 of 1 rules are kept")


def test_what_cannot_be_audited_is_bad_input(tiny_params: Path) -> None:
    for suite, message in (("tyni", "SUITE: unknown suite 'tyni'; did you mean 'tiny'?"), ("tiny", "summary.json: no")):
        result = ask(suite, tiny_params)
        assert result.exit_code == 2
        assert message in result.stderr and result.stderr.count("\n") == 1
