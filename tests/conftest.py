"""What several tests share: a suite so small that all of it runs in seconds."""

from pathlib import Path

import pytest
from tiny import TINY


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
