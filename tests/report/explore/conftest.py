from pathlib import Path
from types import SimpleNamespace

import pytest
from browser import chromium
from synthetic_results import write_synthetic

from benchmark.analysis import analyse_suite, read_summary
from benchmark.report import figures, report_page
from benchmark.report.figures import style
from benchmark.report.view import View

from ..conftest import parameters, suite

LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="session")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def sliced(tmp_path_factory) -> SimpleNamespace:
    """The page of `costs`, a suite of two costs and two measures, and of `few`, one of two seeds, with one figure."""
    root = tmp_path_factory.mktemp("sliced")
    grid = {"budgets": [0.5, 0.1, 0.05, 0.01], "costs": ["params", "macs"]}
    transfer = {"nearest": {"episodes": 3}, "weights": ["fresh", "inherit", "scratch"]}
    methods = ["dense", "uniform", "magnitude", "dap", "my_pruner"]
    params = parameters(
        costs=suite("Two costs & two measures", grid=grid, transfer=transfer, methods=methods),
        few=suite("Two seeds", grid={"seeds": [0, 1]}, targets=["digits-5-9", "kmnist"]),
    )
    for name in params.run.suites:
        write_synthetic(root, params, name)
        analyse_suite(params, name, root)
    with style.context():
        style.save(figures.accuracy(View(read_summary(root, "costs"))), root / "reports/figures/costs/accuracy")
    report_page(params, root)
    return SimpleNamespace(root=root, params=params, reports=root / "reports")


@pytest.fixture(scope="session")
def seeded(tmp_path_factory) -> Path:
    """The folder with the page of `seeded`, a suite of five seeds."""
    root = tmp_path_factory.mktemp("seeded")
    params = parameters(seeded=suite("Five seeds", grid={"seeds": [0, 1, 2, 3, 4], "granularities": ["channel"]}))
    write_synthetic(root, params, "seeded")
    analyse_suite(params, "seeded", root)
    report_page(params, root)
    return root


@pytest.fixture
def opened(browser, sliced):
    """Return a function that opens the page, at an address and in a window; it must say nothing in the console."""
    contexts, said = [], []

    def open_page(address="", width=1280, height=800, root=sliced.root, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(120_000)  # a busy machine is no fault of the page
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith(LOCAL) or said.append(request.url))
        page.goto((root / "reports" / "index.html").as_uri() + address)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said
