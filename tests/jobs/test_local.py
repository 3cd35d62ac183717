import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
from toyjobs import Toy, computed, toy

from benchmark.errors import BenchError
from benchmark.jobs.job import Job
from benchmark.jobs.local import Event, available_workers, run_jobs
from benchmark.jobs.store import Context, Store

SWEEP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toyjobs import toy
from benchmark.jobs.store import Context, Store
from benchmark.jobs.job import Job
from benchmark.jobs.local import run_jobs
root = Path(sys.argv[2])
jobs = [toy(root / "marks", value, sleep=0.03) for value in range(40)]
if __name__ == "__main__":
    print("failures", len(run_jobs(jobs, Context(Store(root / "store"), root), workers=2)))
"""

HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture
def context(tmp_path):
    (tmp_path / "marks").mkdir()
    return Context(Store(tmp_path / "store"), tmp_path)


@pytest.fixture
def marks(tmp_path):
    return tmp_path / "marks"


def sweep(root: Path) -> subprocess.Popen:
    script = root / "sweep.py"
    script.write_text(SWEEP)
    return subprocess.Popen(
        [sys.executable, script, HELPERS, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def results(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != "timing.json"
    }


def test_every_job_is_computed_once_and_published(context, marks):
    jobs = [toy(marks, value) for value in (3, 1, 2, 3)]
    events: list[Event] = []
    assert run_jobs(jobs, context, workers=2, on_event=events.append) == []
    assert computed(marks) == [1, 2, 3]
    result = context.store.get(jobs[0].key)
    assert result.values["square"] == 9
    assert result.files["square.txt"].read_bytes().startswith(b"3 squared is 9\n")
    assert result.timing["seconds"] >= 0
    assert 10 < result.timing["peak_mb"] < 4000
    assert abs(result.timing["started"] - time.time()) < 60
    assert [event.kind for event in events].count("finished") == 3
    events.clear()
    assert run_jobs(jobs, context, workers=2, on_event=events.append) == []
    assert computed(marks) == [1, 2, 3]
    assert {event.kind for event in events} == {"skipped"}


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_do_not_depend_on_the_number_of_workers(context, marks, workers):
    jobs = [toy(marks, value, workers=workers) for value in range(3)]
    run_jobs(jobs, context, workers=workers, threads=2)
    assert [context.store.get(job.key).values["threads"] for job in jobs] == [2, 2, 2]


def test_the_longest_jobs_start_first(context, marks):
    started = []
    jobs = [toy(marks, value) for value in range(3)]
    for job, hint in zip(jobs, (1.0, 5.0, 3.0), strict=True):
        object.__setattr__(job, "hint", hint)
    run_jobs(jobs, context, on_event=lambda event: event.kind == "started" and started.append(event.job.label))
    assert started == ["toy 1", "toy 2", "toy 0"]


def test_a_failing_job_leaves_the_others_alone(context, marks):
    jobs = [toy(marks, 1), toy(marks, 2, fail=True), toy(marks, 3), toy(marks, 4, fail=True)]
    failures = run_jobs(jobs, context, workers=2)
    assert [failure.job.label for failure in failures] == ["toy 2", "toy 4"]
    assert "ValueError: value 2 cannot be squared" in failures[0].reason
    assert "Traceback" in failures[0].reason
    assert computed(marks) == [1, 3]
    assert not context.store.has(jobs[1].key)


def test_a_killed_worker_is_a_failure_and_is_replaced(context, marks):
    jobs = [toy(marks, 1, die=True), toy(marks, 2), toy(marks, 3, die=True), toy(marks, 4)]
    failures = run_jobs(jobs, context, workers=1)
    assert [failure.job.label for failure in failures] == ["toy 1", "toy 3"]
    assert "SIGKILL" in failures[0].reason
    assert computed(marks) == [2, 4]


class Nonsense(Toy):
    module: ClassVar[str] = "toyjobs.nonsense"


def test_a_job_without_code_is_refused(context, marks):
    job = Job(Nonsense(value=1))
    with pytest.raises(BenchError, match=r"toyjobs\.nonsense: no Python source"):
        run_jobs([job], context)


def test_a_store_that_cannot_be_written_is_refused_before_anything_runs(context, marks, tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(BenchError, match="store cannot be written"):
        run_jobs([toy(marks, 1)], context)
    assert computed(marks) == []


def test_a_disk_that_fills_up_ends_the_sweep(context, marks, tmp_path):
    """RLIMIT_FSIZE makes the system refuse the write itself, as a full disk does."""
    script = tmp_path / "full.py"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    script.write_text(limit + SWEEP.replace("workers=2", "workers=1"))
    command = [sys.executable, script, HELPERS, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "BenchError" in done.stderr
    assert "the job store cannot be written (File too large)" in done.stderr
    assert results(tmp_path / "store") == {}
    assert len(computed(marks)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_workers_at_once(context, marks, tmp_path, number):
    script = tmp_path / "slow.py"
    script.write_text(SWEEP.replace("sleep=0.03", "sleep=600"))
    # In a shell's background job interrupts are ignored, and children inherit that.
    run = subprocess.Popen(
        [sys.executable, script, HELPERS, tmp_path],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: len(list(marks.iterdir())) == 2)
    run.send_signal(number)
    assert run.wait(timeout=10) != 0
    wait_for(lambda: not processes_with(str(tmp_path)), seconds=10)


def test_sigkill_then_rerun_computes_no_finished_job_twice(tmp_path):
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for root in (killed, undisturbed):
        (root / "marks").mkdir(parents=True)
    published: set[str] = set()
    for enough in (3, 15, 25):
        run = sweep(killed)
        wait_for(lambda enough=enough: len(list((killed / "store").glob("??/*"))) >= enough)
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=10)
        wait_for(lambda: not processes_with(str(killed)), seconds=10)
        now = {path.name for path in (killed / "store").glob("??/*")}
        assert published <= now
        published = now
    records = [json.loads((killed / "store" / key[:2] / key / "job.json").read_text()) for key in published]
    finished = [record["spec"]["value"] for record in records]
    assert 25 <= len(finished) < 40
    before = computed(killed / "marks")
    assert sweep(killed).communicate(timeout=60)[0] == "failures 0\n"
    after = computed(killed / "marks")
    assert [after.count(value) for value in finished] == [before.count(value) for value in finished]
    assert sweep(undisturbed).communicate(timeout=60)[0] == "failures 0\n"
    assert results(killed / "store") == results(undisturbed / "store")
    assert list((killed / "store" / "tmp").iterdir()) == []


def test_two_runs_share_a_store(tmp_path):
    (tmp_path / "marks").mkdir()
    runs = [sweep(tmp_path), sweep(tmp_path)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [output[0] for output in outputs] == ["failures 0\n"] * 2, outputs
    store = Store(tmp_path / "store")
    keys = [path.name for path in (tmp_path / "store").glob("??/*")]
    assert len(keys) == 40
    assert sorted(store.verify(key).values["square"] for key in keys) == [value**2 for value in range(40)]


def test_jobs_fit_the_cores():
    assert available_workers(1) >= 1
    assert available_workers(10_000) == 1


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def processes_with(text: str) -> list[int]:
    """Ids of the living processes that have `text` in their command line or working files."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
