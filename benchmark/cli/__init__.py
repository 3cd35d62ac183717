"""`dapbench`, the command line."""

from benchmark.cli import audit, contributions, experiment, guarantee, networks, registries, zoo
from benchmark.cli.program import app

__all__ = ["app", "audit", "contributions", "experiment", "guarantee", "main", "networks", "registries", "zoo"]


def main() -> None:
    """Run the command line."""
    app()
