import os
import signal
import time
import uuid
from pathlib import Path

import torch

from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.store import Context
from toyjobs import Squared, Toy


def compute(job: Job[Toy], context: Context) -> JobOutput:
    marks, value = Path(job.inputs["marks"]), job.spec.value
    (marks / f"{value}-begun-{uuid.uuid4()}").touch()
    context.progress("squaring", 0.5)
    time.sleep(job.spec.sleep)
    while len(list(marks.glob("*-begun-*"))) < job.spec.begun:
        time.sleep(0.01)
    if job.spec.fail:
        raise ValueError(f"value {value} cannot be squared")
    if job.spec.large:
        raise torch.OutOfMemoryError("CUDA out of memory")
    if job.spec.die:
        os.kill(os.getpid(), signal.SIGKILL)
    (marks / f"{value}-done-{uuid.uuid4()}").touch()
    content = f"{value} squared is {value**2}\n".encode() * 10_000
    return JobOutput(Squared(square=value**2, threads=torch.get_num_threads()), {"square.txt": content})
