"""A finished job that is no longer what was written."""

from pathlib import Path

from benchmark.errors import BenchError


class DamagedJob(BenchError):
    """A job of the store that is not intact: `key`, and in the message its folder, what is wrong and the remedy.

    Whoever can compute it again sets it aside first: `benchmark.pipeline.mending`.
    """

    def __init__(self, folder: Path, key: str, fault: str) -> None:
        super().__init__(f"{folder}: damaged job, {fault}; remove that folder and run again")
        self.folder, self.key, self.fault = folder, key, fault
