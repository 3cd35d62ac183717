"""The report: tables and figures of a suite, one page for all suites, the results block of the README."""

from pathlib import Path

from benchmark.config.params import Params


def report_suite(params: Params, suite: str, root: Path = Path()) -> list[Path]:
    """Write reports/tables/SUITE and reports/figures/SUITE below `root`; returns the two folders.

    The main slice of the suite is there, each other one (another cost or measure) in a folder of its name below.

    Reads reports/analysis/SUITE/summary.json and reports/results/SUITE/METHOD.search.json; the same
    inputs give the same bytes. `BenchError` for an unknown suite or one that was not analysed.
    """
    from benchmark.analysis import read_summary
    from benchmark.analysis.slices import slices
    from benchmark.errors import unknown
    from benchmark.report.figures import draw
    from benchmark.report.layers import layers, traces
    from benchmark.report.tables import write_tables
    from benchmark.report.view import View

    if suite not in params.suites:
        raise unknown("suite", suite, params.suites, "suite")
    reports = root / "reports"
    results = reports / "results" / suite
    folders = [reports / "tables" / suite, reports / "figures" / suite]
    main, *others = slices(params.suites[suite])
    for one in (main, *others):
        view = View(read_summary(root, suite, None if one is main else one.name))
        kept = layers(view, results)
        below = "" if one is main else one.name
        write_tables(view, kept, folders[0] / below)
        draw(view, kept, traces(results), folders[1] / below)
    return folders


def report_page(params: Params, root: Path = Path()) -> Path:
    """Write reports/index.html for all suites of `run.suites` below `root`; returns its path.

    Run it after `report_suite` of each: it links the tables and figures that are there.
    """
    from benchmark.report.page import write_page

    return write_page(params, root)
