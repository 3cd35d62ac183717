"""`dapbench`, the command line."""

import sys

from benchmark.cli import audit, contributions, experiment, guarantee, networks, registries, zoo
from benchmark.cli.program import app
from benchmark.pipeline.warm import ask

__all__ = ["app", "audit", "contributions", "experiment", "guarantee", "main", "networks", "registries", "zoo"]


def main() -> None:
    """Run the command line; a stage of a pipeline in the process that is there for stages, if there is one."""
    arguments = sys.argv[1:]
    code = ask(arguments) if arguments[:1] == ["stage"] else None
    if code is None:
        app()
    sys.exit(code)
