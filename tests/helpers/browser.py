"""A real browser for the page: Playwright driving the Chromium of the system, or its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless browser; skips the test, and says why, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: install the extra dev")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_api.sync_playwright() as driver:
        try:
            # Tests also run as root in a container, where Chromium has no sandbox to offer.
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium that starts: {str(error).splitlines()[0]}")
        yield browser
        browser.close()
