"""The laboratory is made once for all tests of the protocol."""

import pytest
from lab import Lab, furnished


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return furnished(tmp_path_factory.mktemp("lab"))
