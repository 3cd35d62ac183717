"""Run jobs on a Dask cluster. Needs the extra `cluster`."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from types import FrameType
from typing import Any, TypeAlias

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from benchmark.errors import BenchError
from benchmark.jobs.depot import Depot, data_sets, needs
from benchmark.jobs.job import Job, Spec
from benchmark.jobs.local import Event, Failure
from benchmark.jobs.remote import THREADS, TOPIC, LostProcess, Outcome, Settings, compute
from benchmark.jobs.store import Context

RETRIES = 2  # of a job whose process is killed; a job that raises would raise again
POLL_SECONDS = 0.1  # between two looks for a finished job
CANCEL_SECONDS = 1.0  # that workers need to end what is cancelled, before a cluster that was started here is closed
SHARED_SECONDS = 60.0  # that a network file system may take to show a folder which another machine has made

Message: TypeAlias = (
    Any  # a `Future`, a mapping or an int: a job settled, an event of a worker, or the number of a signal
)
Following = Callable[[Job[Spec], bool], Iterable[Job[Spec]]]


def run_on_cluster(
    client: Client,
    first: Sequence[Job[Spec]],
    after: Following,
    context: Context,
    threads: int = 1,
    on_event: Callable[[Event], None] = lambda _event: None,
    deterministic: bool = True,
    depot: Depot | None = None,
) -> list[Failure]:
    """Compute jobs on the cluster of `client` and publish them in the store; return those that failed, as they did so.

    `after(job, finished)` returns the jobs that become possible once a job is finished, or has failed: they are begun
    while others of the `first` still run; no key may come twice. Of those that wait, the longest (by `hint`) start
    first. The workers must see the store and the data under the same paths as this machine; or, with a `depot`, all
    of it travels through that.
    A job whose process is killed is tried `RETRIES` times more, one whose worker is lost is given to another; one that
    raises is a failure. An interrupt, SIGTERM, or the end of this process by whatever, ends what is computed for it.
    On CUDA a worker gets jobs only if it has the resource `GPU`, one for each.

    Raises `BenchError` when the store cannot be written, the workers do not share it or have other code, none of them
    has a GPU where one is needed, or the scheduler is lost.
    """
    context.store.sweep()
    _check_workers(client, context.device)
    return _Run(client, after, context, threads, on_event, deterministic, depot).run(first)


class _Run:
    """The jobs of one `run_on_cluster` call."""

    def __init__(
        self,
        client: Client,
        after: Following,
        context: Context,
        threads: int,
        on_event: Callable[[Event], None],
        deterministic: bool,
        depot: Depot | None,
    ) -> None:
        self.client = client
        self.after = after
        self.store = context.store
        self.on_event = on_event
        places = (context.store.root.resolve(), context.data_root.resolve())
        environment = {name: os.environ[name] for name in THREADS if name in os.environ}
        self.data_root = context.data_root
        self.depot = depot
        self.sent: set[str] = set() if depot is None else depot.keys()
        self.settings = Settings(*places, context.device, threads, deterministic, environment, depot)
        self.resources = {"GPU": 1} if context.device == "cuda" else None
        self.open: dict[str, tuple[Job[Spec], Future]] = {}
        self.failures: list[Failure] = []
        self.inbox: SimpleQueue[Message] = SimpleQueue()

    def run(self, first: Sequence[Job[Spec]]) -> list[Failure]:
        self.client.subscribe_topic(TOPIC, lambda event: self.inbox.put(event[1]))
        try:
            with _signals(self.inbox):
                self._submit(first)
                while self.open:
                    message = self.inbox.get()
                    if isinstance(message, int):
                        raise KeyboardInterrupt if message == signal.SIGINT else SystemExit(128 + message)
                    if isinstance(message, Future):
                        self._settle(message)
                    else:
                        self._tell(message)
        finally:
            with suppress(Exception):  # what ends the run is told, not that the scheduler is gone as well
                self.client.unsubscribe_topic(TOPIC)
                if self.open:
                    self.client.cancel([future for _, future in self.open.values()])
                    time.sleep(CANCEL_SECONDS)
        return self.failures

    def _submit(self, jobs: Iterable[Job[Spec]]) -> None:
        for job in jobs:
            self.on_event(Event("waiting", job))
            self._send_inputs(job)
            name = f"{job.kind}-{job.key}"  # Dask counts and times by what stands before the hash
            future = self.client.submit(
                compute,
                job,
                self.settings,
                key=name,
                pure=False,
                retries=RETRIES,
                priority=job.hint,
                resources=self.resources,
            )
            self.open[name] = (job, future)
            future.add_done_callback(self.inbox.put)

    def _send_inputs(self, job: Job[Spec]) -> None:
        if self.depot is None:
            return
        for ref, digest in data_sets(job):
            if digest not in self.sent:
                self.depot.send_data(ref, digest, self.data_root)
        for key in needs(job):
            if key not in self.sent:
                self.depot.send(self.store, key)
        self.sent |= {*needs(job), *(digest for _, digest in data_sets(job))}

    def _tell(self, event: Mapping[str, Any]) -> None:
        known = self.open.get(event["task"])  # another run may share the scheduler
        if known is not None:
            kind: Any = "progress" if event["share"] else "started"
            self.on_event(Event(kind, known[0], event["message"], event["share"]))

    def _settle(self, future: Future) -> None:
        job, _ = self.open.pop(future.key)
        outcome = self._outcome(future)
        if outcome.kind == "fatal":
            raise BenchError(outcome.reason)
        if outcome.kind == "finished":
            self._await_result(job)
            self.on_event(Event("finished", job, share=1.0, seconds=outcome.seconds))
            self.sent.add(job.key)
        else:
            self.failures.append(Failure(job, outcome.reason))
            self.on_event(Event("failed", job, message=outcome.reason))
        self._submit(self.after(job, outcome.kind == "finished"))

    def _outcome(self, future: Future) -> Outcome:
        try:
            outcome: Outcome = future.result()
            return outcome
        except CancelledError as error:
            raise BenchError(
                f"{self.client.scheduler.address}: the scheduler was lost; finished jobs are kept, run again to go on"
            ) from error
        except KilledWorker as error:
            lost = f"{error.allowed_failures + 1} workers were lost while they computed it, the last at"
            return Outcome("failed", reason=f"{lost} {getattr(error.last_worker, 'address', '?')}")
        except LostProcess as error:
            return Outcome("failed", reason=str(error))

    def _await_result(self, job: Job[Spec]) -> None:
        """See to it that what follows finds the job in the store."""
        deadline = time.monotonic() + SHARED_SECONDS
        while not (self.store.has(job.key) if self.depot is None else self.depot.fetch(self.store, job.key)):
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{self.store.root}: a worker has finished {job.label}, but it is not here; "
                    "the job store must be on a file system that all workers share under the same path"
                )
            time.sleep(POLL_SECONDS)


@contextmanager
def _signals(inbox: SimpleQueue[Message]) -> Iterator[None]:
    """Have the first interrupt or SIGTERM told in `inbox`; a second one does at once what it did before.

    Raised where it happens, it would be lost if that is within one of the callbacks by which Dask watches the garbage
    collector: Python ignores what those raise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def tell(number: int, _frame: FrameType | None) -> None:
        restore()
        inbox.put(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, tell)
    try:
        yield
    finally:
        restore()


def _check_workers(client: Client, device: str) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if device == "cuda" and workers and not any(worker["resources"].get("GPU") for worker in workers):
        raise BenchError(
            "--cluster: compute.device is cuda, and no worker has the resource GPU; start them by "
            "`dask worker ADDRESS --nthreads 1 --resources GPU=1`, as many to a machine as it has GPUs"
        )
