"""From an address to a cluster; a batch system is stood in for by two shell scripts."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import blocks
from toyjobs import computed, toy
from waiting import wait_for

from benchmark.errors import BenchError
from benchmark.jobs.store import Context, Store

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

from benchmark.jobs.cluster import run_on_cluster
from benchmark.jobs.connect import QUEUES, batch_cluster, connect

ROOT = Path(__file__).parents[2]
# A job of the batch system is a process group, and its number that of the group. Its script is copied first, as Slurm
# does: the submitter deletes it once `sbatch` returns, perhaps before the shell in the background has read it.
SBATCH = (
    '#!/bin/sh\ncp "$1" SCRIPT.$$\nsetsid sh SCRIPT.$$ >> LOG 2>&1 &\necho "Submitted batch job $!"\necho "$!" >> IDS\n'
)
SCANCEL = '#!/bin/sh\nkill -TERM -- "-$1"\n'


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a cluster of two batch jobs, on a machine that has `sbatch` and `scancel`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    places = {"LOG": "log.txt", "IDS": "ids.txt", "SCRIPT": "script.sh"}
    script = SBATCH
    for name, file in places.items():
        script = script.replace(name, str(tmp_path / file))
    for name, text in (("sbatch", script), ("scancel", SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests/helpers")])
    return described(
        tmp_path,
        walltime="01:00:00",
        interface="lo",
        log_directory=str(tmp_path),
        job_script_prologue=[f"export PYTHONPATH={paths}"],
    )


def described(folder: Path, jobs: Any = 2, **options: Any) -> Path:
    path = folder / "cluster.yaml"
    job = {"cores": 4, "processes": 1, "memory": "8GB", **options}
    path.write_text(yaml.safe_dump({"jobs": jobs, "job": job}))
    return path


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_on_slurm(slurm: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    handler = signal.getsignal(signal.SIGINT)
    jobs = [toy(marks, value, begun=2) for value in range(4)]
    with connect(f"slurm:{slurm}") as client:
        context = Context(Store(tmp_path / "store"), tmp_path)
        assert run_on_cluster(client, jobs, lambda _job, _finished: [], context) == []
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        # One job at a time on a worker, whatever its cores.
        assert [worker["nthreads"] for worker in workers] == [1, 1]
    assert computed(marks) == [0, 1, 2, 3]
    scripts = [path.read_text() for path in tmp_path.glob("script.sh.*")]
    assert len(scripts) == 2 and all("#SBATCH -t 01:00:00" in script for script in scripts)
    ids = [int(line) for line in (tmp_path / "ids.txt").read_text().split()]
    assert len(ids) == 2
    wait_for(lambda: not any(alive(number) for number in ids))
    # Importing dask_jobqueue would let an interrupt end the program with success.
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("kind", QUEUES)
def test_every_batch_system_gets_one_slot_a_worker(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask_jobqueue

    monkeypatch.setattr(dask_jobqueue.JobQueueCluster, "new_worker_spec", lambda cluster: {})
    own = {"disk": "1GB"} if kind == "htcondor" else {"walltime": "01:00:00"}
    path = described(tmp_path, worker_extra_args=["--lifetime", "50m"], interface="lo", **own)
    with batch_cluster(kind, path, "cuda") as cluster:
        script = cluster.job_script()
    words = script.replace("'", " ").split()
    assert words[len(words) - 1 - words[::-1].index("--nthreads") + 1] == "1"
    assert "--resources GPU=1" in " ".join(words) and "--lifetime 50m" in " ".join(words)


@pytest.mark.parametrize("address", ["local", "local:", "local:0", "local:two", "slurm", "http://here:1", "", "ssh:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BenchError), connect(address):
        raise AssertionError(address)


def test_a_scheduler_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(BenchError, match="no Dask scheduler answers"),
            connect(address),
        ):
            raise AssertionError


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("jobs: 0\njob: {cores: 1, memory: 1GB}\n", "jobs"),
        ("job: {cores: 1, memory: 1GB}\n", "jobs"),
        ("jobs: 1\njob: {memory: 1GB}\n", "cores"),
        ("jobs: 1\njob: {cores: 1, memory: 1GB, cors: 2}\n", "cors"),
        ("jobs: 1\njob: {cores: 1, memory: much}\n", "much"),
        ("jobs: 1\njob: {cores: 1, memory: 1GB, worker_extra_args: --lifetime}\n", "worker_extra_args"),
        ("jobs: 1\njob: {cores: one, memory: 1GB}\n", "job"),
        ("jobs: 1\njob: {cores: 1, memory: 1GB}\nwalltime: 1\n", "walltime"),
        ("[1, 2]\n", "cluster.yaml"),
        ("{", "YAML"),
    ],
)
def test_a_file_that_is_wrong_names_the_key(content: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    with pytest.raises(BenchError, match=r"cluster\.yaml") as caught, connect(f"slurm:{path}"):
        raise AssertionError
    assert named in str(caught.value) and "\n" not in str(caught.value)


def test_a_machine_without_slurm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="sbatch"), connect(f"slurm:{described(tmp_path, interface='lo')}"):
        raise AssertionError


def test_a_batch_system_that_refuses_is_heard(slurm: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho 'no such account' >&2\nexit 1\n")
    with pytest.raises(BenchError, match="no such account"), connect(f"slurm:{slurm}"):
        raise AssertionError


def test_the_file_of_the_page_is_what_slurm_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask_jobqueue

    monkeypatch.setattr(dask_jobqueue.JobQueueCluster, "new_worker_spec", lambda cluster: {})
    ((text, _),) = blocks("docs/cluster.md", "yaml")
    path = tmp_path / "cluster.yaml"
    path.write_text(text.replace("  queue:", "  interface: lo\n  queue:"))
    with batch_cluster("slurm", path) as cluster:
        script = cluster.job_script()
    assert "#SBATCH -t 24:00:00" in script and "#SBATCH -A my-project" in script and "--lifetime 23h" in script
    assert "--nworkers 4" in script and "--memory-limit 3.73GiB" in script
