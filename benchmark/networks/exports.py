"""An extracted network in two formats that other runtimes read: ONNX, and programs of `torch.export`.

Both take any number of images at once. What is written is read back and run first: a file whose outputs are not the
network's never appears.
"""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import BenchError, cause
from benchmark.files import atomic_write

# Runtimes fuse and reorder sums. The largest difference allowed, as a share of the largest output.
TOLERANCE = 1e-4
TRIED = (1, 2, 5)
FATAL = 4  # of onnxruntime's levels of messages
INPUT, OUTPUT = "images", "logits"
_PACKAGES = {"onnx", "onnxscript", "onnx_ir", "onnxruntime"}


def export_program(network: nn.Module, example: Tensor, path: Path) -> float:
    """Write the network as a program of `torch.export` (.pt2), for `torch.export.load(path).module()`.

    `example` is a batch [N, C, H, W] of the network's images; the program takes any N. Returns the largest difference
    between the written program's outputs and the network's, as a share of the largest output. Raises `BenchError` when
    the network cannot be followed, or the difference is above `TOLERANCE`; then nothing is written.
    """
    with _quiet("torch.export", path):
        buffer = io.BytesIO()
        torch.export.save(_followed(network, example), buffer)
        buffer.seek(0)
        program = torch.export.load(buffer).module()
        difference = _difference(network, program, example)
    return _write(path, buffer.getvalue(), difference)


def export_onnx(network: nn.Module, example: Tensor, path: Path) -> float:
    """Write the network as ONNX, with the input `images` [batch, C, H, W] and the output `logits` [batch, classes].

    As `export_program` otherwise; what is written is run by onnxruntime. Needs the packages of the extra `export`.
    """
    with _quiet("ONNX", path):
        import onnxruntime

        program = torch.onnx.export(
            _followed(network, example),
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        assert program is not None  # it is when no file is named
        content = _named(program.model_proto).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

        def run(images: Tensor) -> Tensor:
            return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

        difference = _difference(network, run, example)
    return _write(path, content, difference)


def _followed(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The network's operations. Where each was called from is left out: it names files of this machine."""
    # Two images, because a size of one would be taken for one that never changes.
    images = torch.rand(2, *example.shape[1:], dtype=example.dtype, generator=torch.Generator().manual_seed(0))
    batch = ({0: torch.export.Dim("batch")},)
    try:
        program = torch.export.export(network, (images,), dynamic_shapes=batch)
    except Exception as error:
        # Python's len(images) is a constant there, and none where the bytecode is followed, which knows fewer things.
        try:
            program = torch.export.export(network, (images,), dynamic_shapes=batch, strict=True)
        except Exception:
            raise error from error.__cause__
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def _named(model: Any) -> Any:
    """The model with a batch that is called so, and without what only torch's exporter needs."""
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == symbol:
                size.dim_param = "batch"
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, model.graph):
        del part.metadata_props[:]
    return model


def _difference(network: nn.Module, exported: Callable[[Tensor], Tensor], example: Tensor) -> float:
    """The largest difference over batches of several sizes, as a share of the largest output."""
    largest = 0.0
    draw = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for count in TRIED:
            images = torch.rand(count, *example.shape[1:], dtype=example.dtype, generator=draw)
            expected = network(images)
            found = (exported(images) - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
            largest = max(largest, float(found))
    return largest


def _write(path: Path, content: bytes, difference: float) -> float:
    if not difference <= TOLERANCE:
        raise BenchError(
            f"{path}: not written, for its outputs would differ from the network's by {difference:.1e} of the largest "
            f"output, more than {TOLERANCE:g}; use the safetensors file"
        )
    atomic_write(path, content)
    return difference


@contextmanager
def _quiet(what: str, path: Path) -> Iterator[None]:
    """Silence an exporter's own talk, and the network's, and turn a failure into one line."""
    talk, disabled = io.StringIO(), logging.root.manager.disable
    try:
        with warnings.catch_warnings(), redirect_stdout(talk), redirect_stderr(talk):
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
            yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        raise BenchError(
            f"{path}: {what} needs the package {package}; install the extra `export` (pip install 'dapbench[export]')"
        ) from error
    except Exception as error:  # exporters and runtimes have no common class for what they cannot do
        raise BenchError(
            f"{path}: the network cannot be written as {what} ({_reason(error)}); use the safetensors file"
        ) from error
    finally:
        logging.disable(disabled)


def _reason(error: Exception) -> str:
    if "specialized it to be a constant" in str(error):
        return (
            "its forward takes the number of images for a constant; let it use images.shape[0], and no loop over them"
        )
    if "Constraints violated (batch)" in str(error):
        return "its forward does not do the same for every number of images; take the decision out of it"
    return cause(error)
