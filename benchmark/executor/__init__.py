"""Who runs cells."""

from benchmark.executor.local import Event, Failure, run_cells

__all__ = ["Event", "Failure", "run_cells"]
