"""Whether a network from elsewhere can be searched, trained and measured: what is wrong with it, before that begins."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from benchmark.errors import BenchError, cause
from benchmark.models.copying import copied
from benchmark.models.output_layers import undisturbed

QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
TRIED = (
    3  # images: not one, of which batch norm knows no variance, and not two, to which an exported network may be bound
)


def check_network(network: Any, key: str = "model") -> None:
    """Raise `BenchError`, beginning with `key`, unless `network` is a module of PyTorch's whose layers can be followed.

    That is one of plain modules with parameters, all of which are initialised and in memory.
    """
    if not isinstance(network, nn.Module):
        given = network.__name__ if isinstance(network, type) else type(network).__name__
        instance = "call it, for an instance" if isinstance(network, type) else "put its layers into a module"
        raise BenchError(f"{key}: {given} is no network; expected a torch.nn.Module; {instance}")
    name = type(network).__name__
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise BenchError(f"{key}: {name} is TorchScript; expected modules of Python; give the network it was made of")
    parameters = dict(network.named_parameters())
    for where, tensor in [*parameters.items(), *network.named_buffers()]:
        if is_lazy(tensor):
            raise BenchError(f"{key}: {where} is not initialised yet; run {name} on one batch of images first")
        if tensor.is_meta:
            raise BenchError(f"{key}: {where} is on the device meta; expected values; use to_empty and load weights")
    for where, module in network.named_modules():
        if type(module).__module__.startswith(QUANTISED):
            raise BenchError(f"{key}: {where} is quantised; expected float32; quantise the network that is extracted")
    if not parameters:
        raise BenchError(f"{key}: {name} has no parameters; expected layers with weights; use another model")


def check_weights_finite(network: nn.Module, key: str = "model") -> None:
    """Raise `BenchError` for parameters or running statistics that are not float32, or not finite."""
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        statistic = name.rpartition(".")[2] in ("running_mean", "running_var")
        if not (isinstance(tensor, nn.Parameter) or statistic):
            continue
        if tensor.dtype != torch.float32:
            raise BenchError(f"{key}: {name} is {tensor.dtype}; expected torch.float32; call float() on the model")
        if not bool(tensor.isfinite().all()):
            raise BenchError(f"{key}: {name} has values that are not finite; train it anew, or load other weights")


def check_runs(network: nn.Module, example: Tensor, key: str = "model") -> Any:
    """Return what `network` makes of `example` in eval mode, left as it was; `BenchError` where it cannot run."""
    try:
        with undisturbed(network), torch.no_grad():
            return network(example)
    except Exception as error:  # whatever a network says of what it does not take
        raise _cannot_run(network, example, error, key) from error


def check_classifier(network: nn.Module, example: Tensor, key: str = "model") -> int:
    """Return how many logits `network` gives per image; `BenchError` where its output is no batch of logits.

    `example` [1, C, H, W] is an image that it takes. The run is in eval mode and leaves the network as it was.
    """
    logits = check_runs(network, example, key)
    fault = output_fault(logits, 1)
    if fault:
        raise _no_logits(network, fault, key)
    if not bool(logits.isfinite().all()):
        raise BenchError(
            f"{key}: the logits of {type(network).__name__} for an image are not finite; check its weights"
        )
    return int(logits.shape[1])


def check_trainable(network: nn.Module, example: Tensor, classes: int, key: str = "model") -> None:
    """Raise `BenchError` unless a copy of `network` takes a training step's forward and backward pass.

    `example` and `classes` are the image and the number of logits of `check_classifier`. Nothing is trained.
    """
    name = type(network).__name__
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise BenchError(f"{key}: all parameters of {name} are frozen; unfreeze them with requires_grad_(True)")
    copy = copied(network).train()
    images = example.expand(TRIED, *example.shape[1:]).contiguous()
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        try:
            logits = copy(images)
        except Exception as error:
            raise _cannot_run(network, images, error, key, " in training mode") from error
        fault = output_fault(logits, TRIED, classes)
        if fault:
            raise _no_logits(network, f"in training mode {fault}", key)
        if not logits.requires_grad:
            raise BenchError(
                f"{key}: the logits of {name} have no gradient; remove torch.no_grad and detach from its forward, or "
                "unfreeze the layers behind them"
            )
        try:
            F.cross_entropy(logits, torch.zeros(TRIED, dtype=torch.int64, device=logits.device)).backward()
        except Exception as error:
            raise BenchError(f"{key}: {name} has no backward pass ({cause(error)}); correct its forward") from error


def output_fault(output: Any, images: int, classes: int | None = None) -> str:
    """Return why an output cannot be the logits of so many images, for as many classes if given; or nothing."""
    if not isinstance(output, Tensor):
        return f"a {type(output).__name__} comes out, no tensor of logits"
    if output.ndim != 2 or len(output) != images or (classes is not None and output.shape[1] != classes):
        wanted = f"({images}, {'classes' if classes is None else classes})"
        return f"the output of {images} image{'s' * (images > 1)} has shape {tuple(output.shape)}, expected {wanted}"
    return "" if output.is_floating_point() else f"the output is {output.dtype}"


def _no_logits(network: nn.Module, fault: str, key: str) -> BenchError:
    return BenchError(
        f"{key}: {type(network).__name__} is no classifier: {fault}; expected one tensor of logits [N, classes]; "
        "put it into a module whose forward returns that tensor"
    )


def _cannot_run(network: nn.Module, example: Tensor, error: Exception, key: str, when: str = "") -> BenchError:
    return BenchError(
        f"{key}: {type(network).__name__} cannot run{when} on {example.dtype} {list(example.shape)} ({cause(error)}); "
        "expected a forward of one batch of images [N, C, H, W]; give images that it takes, or another model"
    )
