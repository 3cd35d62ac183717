"""The check of one network as a job: in a process of its own, kept when it is finished."""

import traceback
import warnings
from typing import ClassVar

# For the processes that are forked from one that has imported them: they take seconds.
import timm  # noqa: F401
import torchvision  # noqa: F401
from pydantic import JsonValue

from benchmark.config.params import Section
from benchmark.errors import BenchError
from benchmark.jobs.job import Job, JobOutput, Spec
from benchmark.jobs.store import Context
from benchmark.studies.zoo.check import check
from benchmark.studies.zoo.network import told


class CheckSpec(Spec):
    """A network of the zoo, and the versions of the libraries that it is built and run by."""

    kind: ClassVar[str] = "zoo"
    module: ClassVar[str] = "benchmark.studies.zoo.job"

    name: str
    family: str
    versions: dict[str, str]


class Checked(Section):
    """What the check returns: the network's row of the zoo."""

    row: dict[str, JsonValue]


def compute(job: Job[CheckSpec], _context: Context) -> JobOutput:
    """Check the job's network; `BenchError` with one line when the check itself fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the networks' own code
            row = check(job.spec.name, job.spec.family)
    except Exception as error:
        traceback.print_exc()
        raise BenchError(told(error)) from error
    return JobOutput(Checked.model_validate({"row": row}))
