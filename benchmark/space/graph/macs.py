"""Parameters and multiply-accumulates, measured on a network as it is."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.errors import BenchError
from benchmark.space.graph.call import Call
from benchmark.space.graph.multiplications import multiplications
from benchmark.space.graph.plain_run import plain_operators
from benchmark.space.graph.uncounted import Uncounted

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def weight_layers(module: nn.Module) -> dict[str, Tensor]:
    """Return the weight of every convolution and linear layer by the layer's name, in the network's order."""
    return {
        name: layer.weight for name, layer in module.named_modules() if isinstance(layer, (*CONVOLUTIONS, nn.Linear))
    }


def count(module: nn.Module, example_input: Tensor) -> tuple[int, int]:
    """Return (params, macs) of a network for one input.

    Parameters: every entry of every parameter. MACs: one multiply-accumulate is 1; all matrix products and convolutions
    that PyTorch runs, whatever kernel runs them (recurrent layers, deformable convolutions, bilinear layers too), and
    those of activations with each other (attention); batch norm is folded, biases are free. An einsum that sums over an
    index of size 1 is such a product, though it runs element by element. Zeroed weights count: it measures shapes. The
    network runs once, in eval mode, and is left as it was. Raises `BenchError` where an operator reads a weight, and
    how much it multiplies is not known.
    """
    params, macs, fault = tally(module, example_input)
    if fault:
        raise BenchError(
            f"{type(module).__name__}: its MACs cannot be counted, for {fault}; write it with convolutions, linear "
            "layers and products of tensors"
        )
    return params, macs


def tally(module: nn.Module, example_input: Tensor) -> tuple[int, int, str]:
    """Return what `count` returns, as far as it is known, and which operator is not counted (empty: all are)."""
    with plain_operators(module):
        # A copy, for no operators are seen of a tensor of inference mode.
        image = example_input.clone()
        counter = _Counter(Uncounted(module, image))
        with _Einsums(counter), counter:
            module(image)
    params = sum(parameter.numel() for parameter in module.parameters())
    return params, counter.macs // len(example_input), counter.uncounted.fault


class _Counter(TorchDispatchMode):
    def __init__(self, uncounted: Uncounted) -> None:
        super().__init__()
        self.uncounted = uncounted
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        call = Call.of(func, args, kwargs, out)
        self.macs += multiplications(call.name, call.named, out)
        self.uncounted.follow(func, call.name, call.named, call.tensors, call.results)
        return out


class _Einsums(TorchFunctionMode):
    """Counts what PyTorch makes a product of two tensors element by element, for the index it sums over has size 1."""

    def __init__(self, counter: _Counter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self._counter.macs
        out = func(*args, **(kwargs or {}))
        if func is torch.einsum and self._counter.macs == before and _sums_a_product(args[0]):
            self._counter.macs += out.numel()
        return out


def _sums_a_product(equation: Any) -> bool:
    """Tell whether an equation of two tensors sums over an index of both."""
    read, _, made = equation.partition("->") if isinstance(equation, str) else ("", "", "")
    factors = read.split(",")
    # Without an arrow, what is in both is summed.
    return len(factors) == 2 and bool(set.intersection(*map(set, factors)) - set(made) - set(" ."))
