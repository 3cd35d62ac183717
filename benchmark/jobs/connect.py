"""From an address on the command line to a Dask cluster. Needs the extra `cluster`."""

import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster
from pydantic import Field, JsonValue

from benchmark.config.params import Section, parse
from benchmark.config.yaml_file import read_yaml
from benchmark.errors import BenchError

SCHEMES = ("tcp", "tls")
QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
    "htcondor": "HTCondorCluster",
}
SHUTDOWN_SECONDS = 20.0


class QueueFile(Section):
    """What SYSTEM:FILE.yaml describes: `jobs` batch jobs, each with the options `job` of dask-jobqueue."""

    jobs: int = Field(ge=1)
    job: dict[str, JsonValue]


@contextmanager
def connect(address: str, device: str = "cpu") -> Iterator[Client]:
    """Connect to the cluster that an address names, and start it unless it runs already.

    `local:N` are N workers on this machine, `tcp://HOST:PORT` (or `tls://`) is a scheduler that runs, and
    `SYSTEM:FILE.yaml` asks a batch system, such as slurm, for workers. What was started here ends with the context.
    On `device` "cuda" every worker that is started is given one GPU.

    Raises `BenchError` for an address or a file that is not understood, and where nobody answers.
    """
    kind, _, rest = address.partition(":")
    if kind in SCHEMES:
        with _client(address, f"--cluster {address}") as client:
            yield client
        return
    if kind == "local":
        cluster = _local(rest, device)
    elif kind in QUEUES:
        cluster = batch_cluster(kind, Path(rest), device)
    else:
        known = ", ".join(["local:N", "tcp://HOST:PORT", *(f"{name}:FILE.yaml" for name in QUEUES)])
        raise BenchError(f"--cluster: {address!r} is no cluster; use one of {known}")
    try:
        with _client(cluster, f"--cluster {address}") as client:
            yield client
    finally:
        with suppress(TimeoutError):
            cluster.close(timeout=SHUTDOWN_SECONDS)


def batch_cluster(kind: str, path: Path, device: str = "cpu") -> Any:
    """Return the cluster of a batch system, by name one of `QUEUES`, after asking it for the jobs that a file names.

    A worker takes one of our jobs at a time, whatever cores it has.
    """
    described = parse(QueueFile, read_yaml(path), str(path))
    options: dict[str, Any] = dict(described.job)
    extra = options.get("worker_extra_args") or []
    if not isinstance(extra, list):
        raise BenchError(f"{path}: job.worker_extra_args: expected a list such as ['--lifetime', '23h']")
    options["worker_extra_args"] = [*extra, "--nthreads", "1", *(["--resources", "GPU=1"] if device == "cuda" else [])]
    cluster: Any = None
    try:
        cluster = getattr(_dask_jobqueue(), QUEUES[kind])(**options)
        cluster.sync(_submit, cluster, described.jobs)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        if cluster is not None:
            with suppress(AssertionError):  # by which it tells that a worker was never started
                cluster.close(timeout=SHUTDOWN_SECONDS)
        raise BenchError(f"{path}: job: {' '.join(str(error).split())}; see docs/cluster.md") from error
    return cluster


async def _submit(cluster: Any, jobs: int) -> None:
    """Like `cluster.scale(jobs=...)`, but raise what the batch system objects to."""
    for _ in range(jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    await cluster


def _dask_jobqueue() -> Any:
    before = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    signal.signal(signal.SIGINT, before)  # its import lets an interrupt end the program as if all was done
    return dask_jobqueue


def _local(count: str, device: str) -> LocalCluster:
    if not count.isdecimal() or int(count) < 1:
        raise BenchError(f"--cluster: local:{count} has no number of workers; use for example local:2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Port 8787 is already in use")  # it takes another one, and prints it
        return LocalCluster(
            n_workers=int(count),
            threads_per_worker=1,
            memory_limit=None,
            preload=["benchmark.jobs.remote"],
            resources={"GPU": 1} if device == "cuda" else None,
        )


@contextmanager
def _client(where: Any, named: str) -> Iterator[Client]:
    try:
        client = Client(where)
    except (OSError, TimeoutError, ValueError) as error:
        raise BenchError(f"{named}: no Dask scheduler answers ({' '.join(str(error).split())})") from error
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            client.close(timeout=SHUTDOWN_SECONDS)
