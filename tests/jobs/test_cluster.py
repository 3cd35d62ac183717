"""Jobs on a Dask cluster of this machine: what is computed, and what becomes of it when something is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toyjobs import computed, toy
from waiting import wait_for

from benchmark.errors import BenchError
from benchmark.jobs.job import Job
from benchmark.jobs.local import Event, run_jobs
from benchmark.jobs.store import Context, Store

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

from benchmark.jobs import cluster as module  # noqa: E402 - the extra first
from benchmark.jobs.cluster import RETRIES, run_on_cluster  # noqa: E402
from benchmark.jobs.connect import connect  # noqa: E402

HELPERS = Path(__file__).parents[1] / "helpers"
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toyjobs import toy
from benchmark.jobs.store import Context, Store
from benchmark.jobs.cluster import run_on_cluster
from benchmark.jobs.connect import connect
root = Path(sys.argv[2])
if __name__ == "__main__":
    with connect(sys.argv[3]) as client:
        jobs = [toy(root / "marks", value, sleep=600) for value in range(2)]
        run_on_cluster(client, jobs, lambda job, finished: [], Context(Store(root / "store"), root))
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with connect("local:2") as client:
        yield client


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "marks").mkdir()
    return Context(Store(tmp_path / "store"), tmp_path)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def nothing(_job: Job, _finished: bool) -> list[Job]:
    return []


def files(store: Store) -> dict[str, bytes]:
    found = (path for path in store.root.rglob("*") if path.is_file() and path.name != "timing.json")
    return {str(path.relative_to(store.root)): path.read_bytes() for path in found}


def children(*workers: int) -> list[int]:
    """Ids of the living processes of jobs: of these workers, or of all on the machine, other tests' too."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            ours = b"benchmark.jobs.child" in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if ours and (parent in workers or not workers):
            found.append(int(folder.name))
    return found


def pids(client: Any) -> list[int]:
    return list(client.run(os.getpid).values())


def test_the_files_are_those_of_a_local_run(client, context, marks, tmp_path):
    jobs = [toy(marks, value) for value in range(5)]
    events: list[Event] = []
    assert run_on_cluster(client, jobs, nothing, context, threads=2, on_event=events.append) == []
    assert computed(marks) == [0, 1, 2, 3, 4]
    kinds = [event.kind for event in events]
    assert [kinds.count(kind) for kind in ("waiting", "started", "finished")] == [5, 5, 5]
    local = Context(Store(tmp_path / "local"), tmp_path)
    assert run_jobs(jobs, local, threads=2) == []
    assert files(context.store) == files(local.store)
    # The nanny's one thread is not the job's.
    assert context.store.get(jobs[0].key).values["threads"] == 2


def test_what_follows_a_job_does_not_wait_for_the_others(client, context, marks):
    """The first job ends only when the one that follows the second has begun."""
    long, short, following = toy(marks, 1, begun=3), toy(marks, 2), toy(marks, 3)
    settled = []

    def after(job: Job, finished: bool) -> list[Job]:
        settled.append((job.spec.value, finished))
        return [following] if job.key == short.key else []

    assert run_on_cluster(client, [long, short], after, context) == []
    assert computed(marks) == [1, 2, 3]
    assert sorted(settled) == [(1, True), (2, True), (3, True)]


def test_a_job_that_raises_is_a_failure_at_once(client, context, marks):
    settled = []

    def after(job: Job, finished: bool) -> list[Job]:
        settled.append((job.spec.value, finished))
        return []

    (failure,) = run_on_cluster(client, [toy(marks, 1, fail=True), toy(marks, 2)], after, context)
    assert "Traceback" in failure.reason and "value 1 cannot be squared" in failure.reason
    assert sorted(settled) == [(1, False), (2, True)]
    assert len(list(marks.glob("1-begun-*"))) == 1


def test_a_job_whose_process_is_killed_is_tried_again(client, context, marks):
    (failure,) = run_on_cluster(client, [toy(marks, 1, die=True), toy(marks, 2)], nothing, context)
    assert "killed by SIGKILL" in failure.reason
    assert len(list(marks.glob("1-begun-*"))) == 1 + RETRIES
    assert computed(marks) == [2]


def test_a_worker_that_is_killed_changes_no_result(client, context, marks, tmp_path):
    """Both workers compute; one is killed in the middle: its job is computed again."""
    jobs = [toy(marks, value, sleep=2.0 if value < 2 else 0.0) for value in range(5)]
    local = Context(Store(tmp_path / "local"), tmp_path)
    assert run_jobs(jobs, local, workers=2) == []
    for mark in marks.iterdir():
        mark.unlink()
    killed: list[int] = []
    orphans: set[int] = set()

    def kill(event: Event) -> None:
        if event.kind == "started" and event.job.spec.value == 0 and not killed:
            wait_for(lambda: list(marks.glob("0-begun-*")))
            (where,) = (name for name, tasks in client.processing().items() if f"toy-{jobs[0].key}" in tasks)
            killed.append(client.run(os.getpid, workers=[where])[where])
            orphans.update(children(*killed))
            os.kill(killed[0], signal.SIGKILL)

    assert run_on_cluster(client, jobs, nothing, context, on_event=kill) == []
    assert len(killed) == len(orphans) == 1
    assert len(list(marks.glob("0-begun-*"))) == 2 and computed(marks) == [0, 1, 2, 3, 4]
    assert files(context.store) == files(local.store)
    # The process of the worker that is no more went with it.
    wait_for(lambda: not orphans & set(children()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_a_run_ends_its_jobs_on_the_workers(client, context, marks, tmp_path, number):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    run = subprocess.Popen(
        [sys.executable, script, HELPERS, tmp_path, client.scheduler.address],
        stderr=subprocess.DEVNULL,
        # In a shell's background job interrupts are ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: len(list(marks.glob("*-begun-*"))) == 2, 180)
    busy = set(children(*pids(client)))
    run.send_signal(number)
    assert run.wait(timeout=60) != 0
    assert len(busy) == 2
    wait_for(lambda: not busy & set(children()))
    # The workers are free for others.
    assert run_on_cluster(client, [toy(marks, value) for value in (5, 6)], nothing, context) == []
    assert computed(marks) == [5, 6]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell's background job ignores interrupts; here they arrive."""
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, outside)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_not_lost_where_python_ignores_exceptions(client, context, marks):
    class Watched:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def watch(event: Event) -> None:
        if event.kind == "waiting":
            Watched()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_on_cluster(client, [toy(marks, 1, sleep=30)], nothing, context, on_event=watch)
    assert signal.getsignal(signal.SIGINT) is before
    assert computed(marks) == []


def test_a_worker_with_other_code_is_refused(client, context, marks):
    job = toy(marks, 1)
    job.__dict__["key"] = "0" * 64  # as if it was planned under other code
    with pytest.raises(BenchError, match="its code is not that of the run"):
        run_on_cluster(client, [job], nothing, context)
    assert replace(job).key != job.key and computed(marks) == []


def test_a_store_that_workers_do_not_share_is_refused(client, context, marks, monkeypatch):
    monkeypatch.setattr(module, "SHARED_SECONDS", 0.5)
    monkeypatch.setattr(Store, "has", lambda store, key: False)  # here, not in the workers
    with pytest.raises(BenchError, match="on a file system that all workers share"):
        run_on_cluster(client, [toy(marks, 1)], nothing, context)


def test_a_store_that_cannot_be_written_ends_the_run(client, context, marks, tmp_path):
    context.store.sweep()
    hidden = context.store.root / "tmp"

    def block(event: Event) -> None:
        if event.kind == "waiting":
            hidden.rmdir()
            hidden.write_text("a file where the folder should be")

    with pytest.raises(BenchError, match="the job store cannot be written"):
        run_on_cluster(client, [toy(marks, 1)], nothing, context, on_event=block)


def test_on_cuda_a_worker_needs_a_gpu(client, context, marks):
    with pytest.raises(BenchError, match="no worker has the resource GPU"):
        run_on_cluster(client, [toy(marks, 1)], nothing, replace(context, device="cuda"))
    assert computed(marks) == []


def test_a_job_that_takes_more_memory_than_its_worker_has_fails(context, marks):
    import dask

    # The process of a toy holds torch: more than this. The worker itself would be paused for as much.
    memory = dict.fromkeys((f"distributed.worker.memory.{name}" for name in ("pause", "terminate", "spill")), False)
    with (
        dask.config.set(memory),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="60MB") as cluster,
        distributed.Client(cluster) as client,
    ):
        (failure,) = run_on_cluster(client, [toy(marks, 1, sleep=5)], nothing, context)
    assert failure.reason == "needed more than 0.06 GB of memory"
    assert len(list(marks.glob("1-begun-*"))) <= 1 and computed(marks) == []
