import os
import signal
import time
import uuid
from pathlib import Path

import torch

from benchmark.jobs.store import Context, Job, JobOutput


def compute(job: Job, context: Context) -> JobOutput:
    marks, value = Path(job.inputs["marks"]), job.spec["value"]
    (marks / f"{value}-begun-{uuid.uuid4()}").touch()
    context.progress("squaring", 0.5)
    time.sleep(job.spec.get("sleep", 0.0))
    while len(list(marks.glob("*-begun-*"))) < job.spec.get("begun", 0):
        time.sleep(0.01)
    if job.spec.get("fail"):
        raise ValueError(f"value {value} cannot be squared")
    if job.spec.get("large"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    if job.spec.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    (marks / f"{value}-done-{uuid.uuid4()}").touch()
    content = f"{value} squared is {value**2}\n".encode() * 10_000
    return JobOutput({"square": value**2, "threads": torch.get_num_threads()}, {"square.txt": content})
