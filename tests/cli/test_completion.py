"""What a shell completes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def asked(folder: Path, **environment: str) -> str:
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'dapbench'; from benchmark.cli import main; main()"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


def completed(words: str, folder: Path) -> list[str]:
    """What bash is told for the last of the words."""
    last = str(len(words.split()) - (not words.endswith(" ")))
    return asked(folder, _DAPBENCH_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=last).split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("dapbench re", ["report", "reproduce", "recheck"]),
        ("dapbench run --suite t", ["tiny"]),
        ("dapbench run --method su", ["supertickets"]),
        ("dapbench search --suite tiny --method dap", ["dap"]),
    ],
)
def test_commands_suites_and_methods_are_completed(words: str, found: list[str], tiny_params: Path) -> None:
    assert completed(words, tiny_params.parent) == found


@pytest.mark.parametrize("content", [None, "suites: [", "suites: 3", "3"])
def test_without_a_readable_description_no_suite_is_completed(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "params.yaml").write_text(content)
    assert completed("dapbench run --suite t", tmp_path) == []


def test_the_shell_s_script_asks_the_program(tmp_path: Path) -> None:
    assert "complete -o default -F _dapbench_completion dapbench" in asked(tmp_path, _DAPBENCH_COMPLETE="source_bash")
