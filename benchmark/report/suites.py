"""The order in which suites are shown."""

from benchmark.config.params import Params


def in_order(params: Params) -> list[str]:
    """Return the suites of `run.suites` in their order there, the headline suite first."""
    run = params.run
    return sorted(run.suites, key=lambda suite: suite != (run.headline or run.suites[0]))
