"""Workers on a GPU, as far as that can be seen without one."""

import os

import pytest
import torch
from toyjobs import toy

from benchmark.errors import BenchError
from benchmark.jobs import device, local
from benchmark.jobs.local import available_workers, run_jobs
from benchmark.jobs.store import Context, Store
from benchmark.pipeline.validate import check_device


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that says it has two GPUs; returns what they were asked, with the workspace set by then."""
    asked = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda number: asked.append((number, os.environ.get("CUBLAS_WORKSPACE_CONFIG")))
    )
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "as it was")
    return asked


@pytest.fixture(autouse=True)
def restored():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.benchmark = before[1]
    torch.set_num_threads(before[2])


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )


def test_workers_take_the_gpus_in_turn(two_gpus):
    for index in range(5):
        device.set_up("cuda", 1, index=index)
    assert [number for number, _ in two_gpus] == [0, 1, 0, 1, 0]


def test_a_deterministic_worker_on_a_gpu(two_gpus):
    device.set_up("cuda", 1)
    assert settings() == (True, True, False)
    assert two_gpus == [(0, ":4096:8")]


def test_a_worker_on_a_gpu_that_may_take_any_kernel(two_gpus):
    torch.use_deterministic_algorithms(True)
    device.set_up("cuda", 1, deterministic=False)
    assert settings()[0::2] == (False, True)
    assert two_gpus == [(0, "as it was")]


@pytest.mark.parametrize("deterministic", [True, False])
def test_layout_and_tf32_stay_torch_s(two_gpus, deterministic):
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    device.set_up("cuda", 1, deterministic)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_worker_on_the_cpu_sets_only_its_threads(two_gpus, deterministic):
    before = settings()
    device.set_up("cpu", 2, deterministic, index=1)
    assert torch.get_num_threads() == 2
    assert settings() == before
    assert two_gpus == []
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == "as it was"


def test_slots_count_per_gpu(two_gpus, monkeypatch):
    assert available_workers(1, "cuda", 3) == 6
    assert available_workers(10_000, "cuda", 3) == 6
    assert available_workers(1, "cpu", 10_000) == available_workers(1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert available_workers(1, "cuda", 3) == 1


class Recorder:
    """Starts processes as `multiprocessing` does, and notes what they are given after their pipe and folders."""

    def __init__(self):
        self.context = local._start_method([], "cpu")
        self.given = []

    def Pipe(self):
        return self.context.Pipe()

    def Process(self, target, args, daemon):
        self.given.append(args[3:])
        return self.context.Process(target=target, args=args, daemon=daemon)


def test_settings_reach_the_workers_and_a_killed_one_leaves_its_place(tmp_path, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(local, "_start_method", lambda _jobs, _device: recorder)
    marks = tmp_path / "marks"
    marks.mkdir()
    # The first job holds place 0 until the others, in place 1, have died one after another.
    jobs = [toy(marks, 0, begun=4), *(toy(marks, value, die=True) for value in (1, 2, 3))]
    context = Context(Store(tmp_path / "store"), tmp_path)
    failures = run_jobs(jobs, context, workers=2, threads=1, deterministic=False)
    assert len(failures) == 3
    assert recorder.given == [("cpu", 1, False, index) for index in (0, 1, 1, 1)]


def test_workers_on_a_gpu_are_not_forked():
    assert local._start_method([], "cuda").get_start_method() == "spawn"


def test_a_gpu_without_memory_is_told_with_the_remedy(tmp_path):
    (tmp_path / "marks").mkdir()
    (failure,) = run_jobs([toy(tmp_path / "marks", 1, large=True)], Context(Store(tmp_path / "store"), tmp_path))
    assert "CUDA out of memory" in failure.reason
    assert failure.reason.endswith("lower compute.slots in params.yaml, or try fewer workers")


@pytest.mark.parametrize(("built", "told"), [(False, "is built without CUDA; install"), (True, "torch finds no GPU")])
def test_a_gpu_that_cannot_be_used_is_refused(monkeypatch, built, told):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchError, match=rf"^params.yaml: compute.device: 'cuda', but .*{told}.* or cpu$"):
        check_device("cuda", "params.yaml")
    check_device("auto", "params.yaml")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_device("cuda", "params.yaml")
