"""What other runtimes read: ONNX and programs of torch.export."""

import logging
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.networks import exports


class Small(nn.Module):
    """A residual sum, a norm with statistics of its own, and attention: what exporters have to rewrite."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean = torch.randn(8, generator=draw)
        self.norm.running_var = torch.rand(8, generator=draw) + 0.5
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = (x + self.norm(x).relu()).flatten(2).transpose(1, 2)
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


EXAMPLE = torch.zeros(1, 2, 6, 6)
WRITERS: list[tuple[str, Callable[[nn.Module, Tensor, Path], float]]] = [
    ("n.onnx", exports.export_onnx),
    ("n.pt2", exports.export_program),
]
NAMES = {"n.onnx": "ONNX", "n.pt2": "torch.export"}
each = pytest.mark.parametrize(("file", "write"), WRITERS, ids=["onnx", "torch.export"])


def run(path: Path, images: Tensor) -> Tensor:
    """The outputs of a written file, by its own runtime."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(images)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


@each
def test_a_written_file_computes_the_same_for_any_number_of_images(
    file: str, write: Callable[[nn.Module, Tensor, Path], float], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = Small().eval()
    told = write(network, EXAMPLE, tmp_path / file)
    assert 0 <= told <= exports.TOLERANCE
    for count in (1, 3, 17):
        images = torch.randn(count, 2, 6, 6)
        expected = network(images)
        torch.testing.assert_close(run(tmp_path / file, images), expected, rtol=1e-4, atol=1e-5)
        assert count == 1 or expected.std(0).min() > 1e-3
    assert [path.name for path in tmp_path.iterdir()] == [file]  # no second file with the weights
    assert network.stem.weight.requires_grad  # the network stays as it was


def test_an_onnx_model_names_its_sides_and_is_valid(tmp_path: Path) -> None:
    exports.export_onnx(Small().eval(), EXAMPLE, tmp_path / "n.onnx")
    model = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(model, full_check=True)
    (image,), (logits,) = model.graph.input, model.graph.output
    sides = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] for value in (image, logits)
    ]
    assert (image.name, logits.name) == ("images", "logits")
    assert sides == [["batch", 2, 6, 6], ["batch", 3]]


@each
def test_no_file_of_this_machine_is_named_in_what_is_written(
    file: str, write: Callable[[nn.Module, Tensor, Path], float], tmp_path: Path
) -> None:
    write(Small().eval(), EXAMPLE, tmp_path / file)
    parts = [(tmp_path / file).read_bytes()]
    if file.endswith(".pt2"):
        with zipfile.ZipFile(tmp_path / file) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    for place in (str(Path(__file__).parent), str(Path(torch.__file__).parent), str(tmp_path)):
        assert not any(place.encode() in part for part in parts)


@each
def test_what_computes_something_else_is_not_written(
    file: str,
    write: Callable[[nn.Module, Tensor, Path], float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = exports._followed

    def wrong(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
        other = Small().eval()
        other.load_state_dict(network.state_dict())
        other.head.bias.data[1] += 1
        return honest(other, example)

    monkeypatch.setattr(exports, "_followed", wrong)
    with pytest.raises(BenchError, match=rf"{file}: not written, for its outputs would differ"):
        write(Small().eval(), EXAMPLE, tmp_path / file)
    assert list(tmp_path.iterdir()) == []


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Looping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[place].mean((1, 2)) for place in range(len(x))])


class Bounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 100:
            raise ValueError("too many")
        return x.mean((2, 3))


class Singular(nn.Module):
    """torch.export knows the operator, and ONNX does not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svd(x)[1].flatten(1)


@pytest.mark.parametrize(
    ("file", "write", "network", "reason"),
    [
        (file, write, network, reason)
        for file, write in WRITERS
        for network, reason in (
            (Undecided(), "GuardOnDataDependentSymNode: Could not guard on data-dependent expression"),
            (Looping(), "its forward takes the number of images for a constant; let it use images.shape[0]"),
            (Bounded(), "its forward does not do the same for every number of images; take the decision out of it"),
            (Singular(), "DispatchError: No ONNX function found for"),
        )
        if file == "n.onnx" or not isinstance(network, Singular)
    ],
)
def test_a_network_that_cannot_be_followed_is_told_in_one_plain_line(
    file: str,
    write: Callable[[nn.Module, Tensor, Path], float],
    network: nn.Module,
    reason: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(
        BenchError, match=re.escape(f"the network cannot be written as {NAMES[file]} ({reason}")
    ) as caught:
        write(network, EXAMPLE, tmp_path / file)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


class Counting(nn.Module):
    """Takes the number of images by `len`, as PyTorch's users do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).view(len(x), 4, -1).mean(2) + torch.zeros(len(x), 1))


@each
def test_a_network_that_counts_its_images_by_len_is_written_for_any_number(
    file: str, write: Callable[[nn.Module, Tensor, Path], float], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = Counting().eval()
    write(network, EXAMPLE, tmp_path / file)
    for count in (1, 7):
        images = torch.randn(count, 2, 6, 6)
        torch.testing.assert_close(run(tmp_path / file, images), network(images), rtol=1e-4, atol=1e-5)
    assert str(Path(__file__).parent).encode() not in (tmp_path / file).read_bytes()


class Talking(Small):
    """Warns, logs and prints while it is followed."""

    def forward(self, x: Tensor) -> Tensor:
        warnings.warn("careful", stacklevel=1)
        logging.getLogger("torch").error("loud")
        print("hello")
        return super().forward(x)


@each
def test_writing_is_quiet_and_leaves_warnings_and_logs_as_they_were(
    file: str,
    write: Callable[[nn.Module, Tensor, Path], float],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    logging.disable(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write(Talking().eval(), EXAMPLE, tmp_path / file)
    assert capfd.readouterr() == ("", "") and not caught
    assert logging.root.manager.disable == logging.DEBUG
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_the_remedy(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BenchError, match=rf"ONNX needs the package {package}; install the extra `export`"):
        exports.export_onnx(Small().eval(), EXAMPLE, tmp_path / "n.onnx")
