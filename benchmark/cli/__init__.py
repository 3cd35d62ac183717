"""`dapbench`, the command line."""

from benchmark.cli import experiment, networks, registries
from benchmark.cli.program import app

__all__ = ["app", "experiment", "main", "networks", "registries"]


def main() -> None:
    """Run the command line."""
    app()
