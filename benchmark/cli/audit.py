"""Whether a suite keeps the rules of the protocol."""

from typing import Annotated

import typer

from benchmark.cli.options import PARAMS, Params
from benchmark.cli.program import command

PANEL = "The experiment"


@command("dapbench audit glyphs", panel=PANEL)
def audit(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite of params.yaml that was analysed.")],
    params: Params = PARAMS,
) -> None:
    """Check every rule of the protocol on a suite's summaries, and say which are kept and what was found.

    Nothing is computed anew: the files below reports/ are read. Exit code 1 when a rule is broken.
    """
    from rich.console import Console
    from rich.table import Table

    from benchmark.analysis import read_summary
    from benchmark.analysis.audit import audit as findings_of
    from benchmark.analysis.slices import slices
    from benchmark.config.params import load_params
    from benchmark.errors import unknown

    described, root = load_params(params), params.parent
    if suite not in described.suites:
        raise unknown("suite", suite, described.suites, "SUITE")
    others = [read_summary(root, suite, one.name) for one in slices(described.suites[suite])[1:]]
    findings = findings_of(described, suite, read_summary(root, suite), others)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("rule", "kept", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(finding.rule, "yes" if finding.passed else "no", finding.detail)
    Console(highlight=False, markup=False).print(table)
    broken = sum(not finding.passed for finding in findings)
    print(f"{suite}: {len(findings) - broken} of {len(findings)} rules are kept")
    raise typer.Exit(int(broken > 0))
