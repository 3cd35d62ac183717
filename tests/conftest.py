"""What several tests share: a suite so small that all of it runs in seconds."""

from pathlib import Path
from typing import Any

import pytest
from tiny import TINY

from benchmark.jobs.local import Failure
from benchmark.jobs.store import Cell, Context
from benchmark.pipeline import stages


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The text of a params.yaml with the suite `tiny`."""
    return TINY


@pytest.fixture
def tiny_params(tmp_path: Path) -> Path:
    """The path of a params.yaml with the suite `tiny`, alone in a fresh folder."""
    path = tmp_path / "params.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Every cell that would have to be computed fails, without a worker; they are collected in the list."""
    asked: list[Cell] = []

    def run_cells(cells: list[Cell], context: Context, *_arguments: Any, **_options: Any) -> list[Failure]:
        missing = [cell for cell in cells if not context.store.has(cell.key)]
        asked.extend(missing)
        return [Failure(cell, "Traceback (most recent call last):\nValueError: no luck") for cell in missing]

    monkeypatch.setattr(stages, "run_cells", run_cells)
    return asked
