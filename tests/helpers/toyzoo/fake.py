import os
import signal
import time
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.store import Context
from benchmark.studies.zoo.check import refused
from benchmark.studies.zoo.job import Checked
from toyzoo import Fake


def compute(job: Job[Fake], _context: Context) -> JobOutput:
    """Do what the name says, leave a mark where the family says, and serve the network."""
    name, family = job.spec.name, job.spec.family
    mark = Path(family) / f"{name}-{time.monotonic_ns()}"
    mark.with_suffix(".begun").touch()
    if name == "sleeper":
        time.sleep(100)
    if name == "eater":
        eaten = b"x" * 2_500_000_000
        time.sleep(100 + len(eaten))
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "leaver":
        os._exit(3)
    if name == "raiser":
        raise BenchError("ValueError: no luck")
    if name.startswith("large"):
        time.sleep(0.2)
    mark.with_suffix(".done").touch()
    return JobOutput(Checked.model_validate({"row": {**refused(name, family, ""), "status": "ok", "share": 0.1 + 0.2}}))
