from types import SimpleNamespace

import pytest
from browser import chromium

from ..conftest import build, parameters, suite


@pytest.fixture(scope="session")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def sliced(tmp_path_factory) -> SimpleNamespace:
    """The report of `costs`, a suite of two costs and two measures, and of `few`, one of two seeds."""
    root = tmp_path_factory.mktemp("sliced")
    grid = {"budgets": [0.5, 0.1, 0.05, 0.01], "costs": ["params", "macs"]}
    transfer = {"nearest": {"episodes": 3}, "weights": ["fresh", "inherit", "scratch"]}
    methods = ["dense", "uniform", "magnitude", "dap", "my_pruner"]
    params = parameters(
        costs=suite("Two costs & two measures", grid=grid, transfer=transfer, methods=methods),
        few=suite("Two seeds", grid={"seeds": [0, 1]}, targets=["digits-5-9", "kmnist"]),
    )
    build(root, params)
    return SimpleNamespace(root=root, params=params, reports=root / "reports")


@pytest.fixture
def opened(browser, sliced):
    """Return a function that opens the page, at an address and in a window; it must say nothing in the console."""
    contexts, said = [], []

    def open_page(address="", width=1280, height=800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or said.append(request.url)
        )
        page.goto((sliced.reports / "index.html").as_uri() + address)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said
