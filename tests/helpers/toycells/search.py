import os
import signal
import time
import uuid
from pathlib import Path

import torch

from benchmark.jobs.store import Cell, CellOutput, Context


def compute(cell: Cell, context: Context) -> CellOutput:
    marks, value = Path(cell.inputs["marks"]), cell.spec["value"]
    (marks / f"{value}-begun-{uuid.uuid4()}").touch()
    context.progress("squaring", 0.5)
    time.sleep(cell.spec.get("sleep", 0.0))
    while len(list(marks.glob("*-begun-*"))) < cell.spec.get("begun", 0):
        time.sleep(0.01)
    if cell.spec.get("fail"):
        raise ValueError(f"value {value} cannot be squared")
    if cell.spec.get("large"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    if cell.spec.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    (marks / f"{value}-done-{uuid.uuid4()}").touch()
    content = f"{value} squared is {value**2}\n".encode() * 10_000
    return CellOutput({"square": value**2, "threads": torch.get_num_threads()}, {"square.txt": content})
