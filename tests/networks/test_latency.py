"""Latency and memory of networks side by side: the arithmetic and the form of it, never a time."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from benchmark import models
from benchmark.cli import app
from benchmark.config.params import ModelRef
from benchmark.errors import BenchError
from benchmark.networks import extraction
from benchmark.networks.latency import Settings, interleaved, latency, measure, paired_ratio, timer
from benchmark.networks.memory import peak_bytes
from benchmark.space import build_space

SETTINGS = Settings(batches=(1, 3), warmup=1, repeats=6)


def write(path: Path, budget: float, width: float = 0.0625) -> Path:
    model = models.build(ModelRef(name="own:vgg16", width=width), 1, 3, 8)
    space = build_space(model, torch.zeros(1, 1, 8, 8), "channel")
    meta = {"model": {"name": "own:vgg16", "width": width}, "input": [1, 8, 8], "classes": 3}
    scores = torch.rand(space.n, generator=torch.Generator().manual_seed(0))
    architecture = space.architecture(space.project(scores, budget), meta)
    extraction.save_network(space.extract(model, architecture), architecture, path, "of a test", space)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks of one large model, and one of another."""
    folder = tmp_path_factory.mktemp("networks")
    return [
        write(folder / "half.safetensors", 0.5),
        write(folder / "tenth.safetensors", 0.1),
        write(folder / "other.safetensors", 0.5, width=0.125),
    ]


# In turn


def test_every_round_does_each_pass_once_and_another_first() -> None:
    done: list[str] = []
    passes = [lambda name=name: done.append(name) for name in "abc"]
    clock = iter(range(100))

    def timed(work: object) -> float:
        assert callable(work)
        work()
        return float(next(clock))

    times = interleaved(passes, 2, 4, timed)
    assert "".join(done) == "aabbcc" + "abc" + "bca" + "cab" + "abc"
    # The first three calls are of a, b, c, the next three of b, c, a, and so on.
    assert times == [[0, 5, 7, 9], [1, 3, 8, 10], [2, 4, 6, 11]]


def test_the_clock_tells_milliseconds() -> None:
    from time import sleep

    assert timer("cpu")(lambda: sleep(0.01)) >= 10


def test_median_and_quartiles() -> None:
    assert latency([5.0, 1.0, 3.0, 2.0, 4.0]) == {"median": 3.0, "q1": 2.0, "q3": 4.0}


# Ratios


def test_a_ratio_is_the_median_of_rounds_not_a_ratio_of_medians() -> None:
    # The machine is slow for a while, which meets both: every round says one half, the medians do not.
    own, dense = [1.0, 1.0, 8.0, 8.0, 8.0, 1.0], [2.0, 2.0, 16.0, 16.0, 16.0, 2.0]
    assert paired_ratio(own, dense) == {"median": 0.5, "low": 0.5, "high": 0.5}
    shifted = paired_ratio([1.0, 2.0, 4.0], [10.0, 10.0, 5.0])
    assert shifted["median"] == 0.2


@pytest.mark.parametrize(
    ("rounds", "left"),
    # The chance that at most `left` of n values lie below their median is below 2.5 %, and above it for one more:
    # n = 6: 1/64, then 7/64; n = 9: 10/512, then 46/512; n = 10: 11/1024, then 56/1024; n = 30: 2.1 %, then 4.9 %.
    [(6, 0), (9, 1), (10, 1), (30, 9)],
)
def test_the_interval_lies_between_ordered_ratios(rounds: int, left: int) -> None:
    own = [float(value) for value in range(rounds, 0, -1)]
    found = paired_ratio(own, [1.0] * rounds)
    assert found == {"median": (rounds + 1) / 2, "low": left + 1, "high": rounds - left}
    assert sum(math.comb(rounds, k) for k in range(left + 1)) / 2**rounds <= 0.025
    assert sum(math.comb(rounds, k) for k in range(left + 2)) / 2**rounds > 0.025


def test_five_rounds_are_too_few_for_an_interval() -> None:
    # Even between the smallest and the largest of five the median lies with 15/16 only.
    assert paired_ratio([1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5) == {"median": 1.5, "low": None, "high": None}


# Memory


class Chain(nn.Sequential):
    """4x4 images: a convolution to 2 channels (128 bytes), its norm in place of nothing, one to 4 (256), and so on."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 3),
        )


class Kept(nn.Module):
    """The first map is still needed when the last is made."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x + self.second(x).relu_()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        # float32 [2, 4, 4]: 128 bytes. In place it is one map; 128 + 256, then without the first: 256 + 256.
        (Chain(), 512),
        # Both maps and their sum.
        (Kept(), 3 * 128),
    ],
)
def test_the_peak_is_what_lives_at_once(network: nn.Module, expected: int) -> None:
    assert peak_bytes(network.eval(), torch.zeros(1, 1, 4, 4)) == expected
    assert peak_bytes(network.eval(), torch.zeros(3, 1, 4, 4)) == 3 * expected


def test_weights_that_are_seen_in_another_shape_are_no_activations() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.t()

    assert peak_bytes(Tied(), torch.zeros(2, 4)) == 2 * 5 * 4


# A run


def test_a_run_has_a_row_per_batch_and_network_with_dense_first(files: list[Path]) -> None:
    before = torch.get_num_threads()
    found = measure(files, SETTINGS)
    assert torch.get_num_threads() == before
    assert found["settings"] == {"device": "cpu", "batches": (1, 3), "threads": 1, "warmup": 1, "repeats": 6}
    assert found["provenance"]["machine"]["cpu"]
    assert found["provenance"]["libraries"]["torch"] == torch.__version__.partition("+")[0]
    rows = found["rows"]
    # Two large models, each once, and three files; for each batch.
    assert [(row["batch"], Path(row["file"]).stem) for row in rows] == [
        (batch, name) for batch in (1, 3) for name in ("dense", "dense", "half", "tenth", "other")
    ]
    assert [row["model"]["options"]["width"] for row in rows[:5]] == [0.0625, 0.125, 0.0625, 0.0625, 0.125]
    for start in (0, 5):
        for row, dense in zip(rows[start : start + 5], (0, 1, 0, 0, 1), strict=True):
            check_row(row, rows[start + dense])
    json.dumps(found, allow_nan=False)


def check_row(row: dict, dense: dict) -> None:
    times, memory = row["latency"]["all"], row["memory"]
    assert len(times) == 6 and min(times) > 0
    assert {**latency(times), "all": times} == row["latency"]
    assert row["ratios"]["latency"] == paired_ratio(times, dense["latency"]["all"])
    assert memory["peak"] == memory["weights"] + memory["activations"]
    assert row["ratios"]["memory"] == memory["peak"] / dense["memory"]["peak"]
    if row is dense:
        assert row["ratios"] == {"latency": {"median": 1, "low": 1, "high": 1}, "memory": 1}
        return
    described = json.loads(Path(row["file"]).with_suffix(".json").read_text())
    assert (row["params"], row["macs"]) == (described["params"], described["macs"])
    assert row["params"] < dense["params"]
    assert memory["activations"] <= dense["memory"]["activations"]
    # Four bytes a parameter, and the running statistics.
    network = extraction.load_network(Path(row["file"]))
    assert memory["weights"] == sum(t.numel() * t.element_size() for t in network.state_dict().values())


def test_activations_grow_with_the_batch_and_weights_do_not(files: list[Path]) -> None:
    one, three = (row["memory"] for row in measure(files[:1], SETTINGS)["rows"] if row["file"] != "dense")
    assert three == {
        "weights": one["weights"],
        "activations": 3 * one["activations"],
        "peak": one["weights"] + 3 * one["activations"],
    }


def test_images_and_weights_are_channels_last(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    original = nn.Conv2d.forward

    def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled() and not self.training
        strides = [tensor.stride() for tensor in (x, self.weight) if tensor.shape[1] > 1 < tensor.shape[2]]
        seen.update(stride[1] for stride in strides)  # channels lie side by side
        return original(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    measure(files[:1], SETTINGS)
    assert seen == {1}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu(files: list[Path]) -> None:
    found = measure(files, Settings(device="cuda", batches=(2,), warmup=1, repeats=6))
    assert found["provenance"]["device"] == torch.cuda.get_device_name()
    assert all(row["memory"]["activations"] > 0 for row in found["rows"])


# On the command line


def invoke(*arguments: str, columns: int = 120) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["measure", *arguments], env={"COLUMNS": str(columns)})
    return done.exit_code, done.stdout, done.stderr


def test_the_table_shows_what_the_file_holds(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "m.json"
    code, told, _ = invoke(
        *map(str, files[:2]), "--batch", "2", "--repeats", "6", "--warmup", "1", "--out", str(out), columns=250
    )
    assert code == 0
    found = json.loads(out.read_text())
    lines = told.splitlines()
    assert found["provenance"]["machine"]["cpu"] in lines[0]
    assert "batch 2" in told
    shown = [line for line in lines if line.startswith(("dense own:vgg16", str(files[0].parent)))]
    assert len(shown) == len(found["rows"]) == 3
    for line, row in zip(shown, found["rows"], strict=True):
        assert f"{row['latency']['median']:.3g} ({row['latency']['q1']:.3g}-{row['latency']['q3']:.3g})" in line
        if row["file"] != "dense":
            assert f" {row['ratios']['latency']['median']:.3g} (" in line
            assert line.endswith(f" {row['ratios']['memory']:.3g}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--device", "cuda"], "--device: torch finds no GPU here"),
        (["--device", "tpu"], "--device: unknown device 'tpu'"),
        (["--batch", "0"], "'--batch'"),
        (["--repeats", "1"], "'--repeats'"),
    ],
)
def test_a_wrong_option_is_one_line(
    arguments: list[str], told: str, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, error = invoke(str(files[0]), *arguments)
    assert code == 2
    assert told in error
    assert error.count("\n") == 1


def test_files_that_are_no_networks(files: list[Path], tmp_path: Path) -> None:
    for name, told in (("gone.safetensors", "cannot be read"), ("n.pkl", "looks like a pickle")):
        (tmp_path / "n.pkl").write_bytes(b"\x80\x04K\x01.")
        code, _, error = invoke(str(tmp_path / name))
        assert (code, error.count("\n")) == (2, 1)
        assert told in error
    code, _, error = invoke(str(files[0]), "--out", str(files[0]))
    assert code == 2
    assert "name another file" in error
    with pytest.raises(BenchError, match="cannot be read"):
        measure([tmp_path / "gone.safetensors"], SETTINGS)
