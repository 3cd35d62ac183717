"""A suite computed on a cluster of this machine."""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest
from waiting import wait_for

from benchmark.config.params import Params, load_params
from benchmark.errors import BenchError
from benchmark.pipeline.stages import run_suite, stage

METHODS = ["dense", "uniform"]


@pytest.fixture
def params(tiny_params: Path) -> Params:
    params = load_params(tiny_params)
    suite = params.suites["tiny"]
    small = {
        "grid": suite.grid.model_copy(update={"seeds": [0]}),
        "transfer": suite.transfer.model_copy(update={"weights": ["scratch", "inherit"]}),
    }
    return params.model_copy(update={"suites": {"tiny": suite.model_copy(update=small)}})


def files(root: Path, *, below: str) -> dict[str, bytes]:
    """What the run wrote, without the times it took."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in (root / below).rglob("*")
        if path.is_file() and not path.name.endswith(("timing.json", "timings.json"))
    }


def test_the_files_of_a_suite_are_those_of_a_local_run_also_with_a_worker_killed(
    params: Params, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    from benchmark.jobs.connect import connect

    here, there = tmp_path / "here", tmp_path / "there"
    with connect("local:2") as client:
        victims: list[int] = []

        def kill() -> None:
            wait_for(lambda: list((there / ".jobs").glob("??/*")), 300)
            busy: list[str] = []

            def found() -> bool:
                busy[:] = [name for name, tasks in client.processing().items() if any("transfer" in t for t in tasks)]
                return bool(busy)

            wait_for(found, 300)
            victims.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
            os.kill(victims[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        assert run_suite(params, ["tiny"], METHODS, root=there, cluster=client.scheduler.address) == 0
        killer.join()
    assert len(victims) == 1
    assert run_suite(params, ["tiny"], METHODS, workers=2, root=here) == 0
    for root in (here, there):
        assert stage(params, "data", "tiny", root=root) == 0
        for method in METHODS:
            assert stage(params, "search", "tiny", method, root=root) == 0
            assert stage(params, "transfer", "tiny", method, root=root) == 0
    assert len(files(here, below=".jobs")) > 20
    for below in (".jobs", "reports", "artifacts"):
        assert files(there, below=below) == files(here, below=below)


def test_without_a_shared_file_system_all_travels_through_an_address(params: Params, tmp_path: Path) -> None:
    """The second run starts on another disk, and finds all that the first has made but what is lost at the address."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    from benchmark.jobs.connect import connect

    address = f"file://{tmp_path / 'depot'}"
    roots = tmp_path / "first", tmp_path / "second"
    with connect("local:1") as client:
        where = {"cluster": client.scheduler.address, "depot": address}
        assert run_suite(params, ["tiny"], ["dense"], root=roots[0], **where) == 0
        lost = [path.parent for path in (tmp_path / "depot").rglob("job.json") if b'"transfer"' in path.read_bytes()]
        shutil.rmtree(lost[0])
        assert run_suite(params, ["tiny"], ["dense"], root=roots[1], **where) == 0
    local = tmp_path / "local"
    assert run_suite(params, ["tiny"], ["dense"], workers=1, root=local) == 0
    assert len(files(local, below=".jobs")) > 5
    assert [files(root, below=".jobs") for root in roots] == [files(local, below=".jobs")] * 2
    assert len(list((tmp_path / "depot").rglob("job.json"))) == len(list((local / ".jobs").rglob("job.json")))


def test_without_the_extra_it_is_named(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cluster", "remote", "connect"):
        monkeypatch.delitem(sys.modules, f"benchmark.jobs.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BenchError, match=r"distributed is not installed; .*dapbench\[cluster\]"):
        run_suite(params, ["tiny"], ["dense"], root=tmp_path, cluster="local:1")
