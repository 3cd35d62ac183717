"""Many trainings of one network as one: R replicas with weights of their own, stepped together.

Few-shot fine-tuning repeats a tiny training many times (shots x draws) on the same architecture; run one by
one, almost all of its time is the fixed cost of starting operators. Here every layer is a batched matrix
product over the replicas instead. Activations are laid out [R, C, H, W, N], images innermost, so that the patches of a
convolution are copied in contiguous runs. Kernel taps that can only ever read padding (all but the centre of a 3x3
kernel on a 1x1 map) are left out: their products and gradients are exactly zero.
"""

import operator
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

Operation = Callable[..., Tensor]


class NotStackable(Exception):
    """The network has an operation that has no stacked form; train its replicas one by one."""


class Replicas:
    """R copies of a network with separate weights, run in one forward pass.

    `parameters` and `buffers` hold the stacked state by the network's own names, each [R, ...]. Calling with images
    [R, N, C, H, W] gives logits [R, N, K]; batch norm uses batch statistics and updates the running ones.
    """

    def __init__(self, network: nn.Module, states: Sequence[Mapping[str, Tensor]]) -> None:
        try:
            self._graph = fx.Tracer().trace(network)
        except Exception as error:
            raise NotStackable(f"not traceable: {error}") from error
        self._modules = dict(network.named_modules())
        names = [name for name, _ in network.named_parameters()]
        self.count = len(states)
        self.parameters = {
            name: torch.stack([state[name].detach().contiguous() for state in states]).requires_grad_() for name in names
        }
        self.buffers = {
            name: torch.stack([state[name] for state in states])
            for name, buffer in network.named_buffers()
            if buffer.is_floating_point()
        }
        self._steps = [(node, self._operation(node)) for node in self._graph.nodes]

    def state(self, replica: int) -> dict[str, Tensor]:
        """Return one replica's parameters and running statistics, as the network names them."""
        everything = {**self.parameters, **self.buffers}
        return {name: tensor[replica].detach() for name, tensor in everything.items()}

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits [R, N, K] of images [R, N, C, H, W], in training mode."""
        values: dict[fx.Node, Any] = {}
        for node, operation in self._steps:
            if node.op == "placeholder":
                values[node] = images.permute(0, 2, 3, 4, 1)
            else:
                arguments = fx.node.map_arg(node.args, lambda item: values[item])
                values[node] = operation(*arguments)
        return values[next(reversed(values))]

    def _operation(self, node: fx.Node) -> Operation:
        if node.op == "placeholder":
            return _identity
        if node.op == "output":
            return lambda logits: logits.transpose(1, 2)
        if node.op == "call_module":
            target = str(node.target)
            return self._layer(target, self._modules[target])
        if node.kwargs or node.target not in _FUNCTIONS or node.args[1:] not in _FUNCTIONS[node.target][1]:
            raise NotStackable(f"operation {node.target}")
        operation = _FUNCTIONS[node.target][0]
        return operation if operation is torch.add else lambda x, *_: operation(x)

    def _layer(self, name: str, module: nn.Module) -> Operation:
        match module:
            case nn.Conv2d(groups=1, dilation=(1, 1), padding_mode="zeros") if isinstance(module.padding, tuple):
                return self._convolution(name, module)
            case nn.BatchNorm2d(affine=True, track_running_stats=True):
                return self._normalisation(name, module)
            case nn.Linear():
                return self._linear(name, module)
            case nn.ReLU():
                return F.relu
            case nn.Identity():
                return _identity
            case nn.Flatten(start_dim=1, end_dim=-1):
                return _flatten
            case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
                return _global_average
            case nn.MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False):
                return _halve
        raise NotStackable(f"layer {name}: {type(module).__name__}")

    def _convolution(self, name: str, module: nn.Conv2d) -> Operation:
        weight, bias = f"{name}.weight", f"{name}.bias"

        def run(x: Tensor) -> Tensor:
            y = _convolve(x, self.parameters[weight], module.stride, module.padding)  # type: ignore[arg-type]
            return y if module.bias is None else y + self.parameters[bias][:, :, None, None, None]

        return run

    def _normalisation(self, name: str, module: nn.BatchNorm2d) -> Operation:
        momentum = 0.1 if module.momentum is None else module.momentum

        def run(x: Tensor) -> Tensor:
            replicas, channels = x.shape[:2]
            flat = x.reshape(1, replicas * channels, -1)
            mean, variance = (self.buffers[f"{name}.{kind}"].view(-1) for kind in ("running_mean", "running_var"))
            scale, offset = (self.parameters[f"{name}.{kind}"].view(-1) for kind in ("weight", "bias"))
            return F.batch_norm(flat, mean, variance, scale, offset, True, momentum, module.eps).view(x.shape)

        return run

    def _linear(self, name: str, module: nn.Linear) -> Operation:
        def run(x: Tensor) -> Tensor:
            y = torch.bmm(self.parameters[f"{name}.weight"], x)
            return y if module.bias is None else y + self.parameters[f"{name}.bias"][:, :, None]

        return run


def _identity(x: Tensor) -> Tensor:
    return x


def _flatten(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], -1, x.shape[-1])


def _global_average(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def _pool_to_features(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def _halve(x: Tensor) -> Tensor:
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    rows = torch.maximum(x[:, :, 0:height:2], x[:, :, 1:height:2])
    return torch.maximum(rows[:, :, :, 0:width:2], rows[:, :, :, 1:width:2])


class _Any:
    """Stands for arguments that do not matter."""

    def __contains__(self, arguments: object) -> bool:
        return True


# Functions and tensor methods by the name the trace gives them, with the further arguments they may have.
_FUNCTIONS: dict[Any, tuple[Operation, Container[Any]]] = {
    operator.add: (torch.add, _Any()),
    operator.iadd: (torch.add, _Any()),
    torch.add: (torch.add, _Any()),
    torch.relu: (F.relu, [()]),
    F.relu: (F.relu, [()]),
    "relu": (F.relu, [()]),
    torch.flatten: (_flatten, [(1,)]),
    "flatten": (_flatten, [(1,)]),
    "mean": (_pool_to_features, [((2, 3),), ([2, 3],)]),
}


def _convolve(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Convolve x [R, C, H, W, N] with weights [R, O, C, kh, kw]; returns [R, O, H', W', N]."""
    replicas, channels, height, width, count = x.shape
    out, kernel = weight.shape[1], weight.shape[3:]
    spatial = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip((height, width), padding, kernel, stride, strict=True)]
    taps = [
        (i, j)
        for i in _live(kernel[0], height, spatial[0], padding[0], stride[0])
        for j in _live(kernel[1], width, spatial[1], padding[1], stride[1])
    ]
    flat = weight.flatten(3)
    if len(taps) < kernel[0] * kernel[1]:
        flat = flat[..., [i * kernel[1] + j for i, j in taps]]
    flat = flat.reshape(replicas, out, -1)
    if len(taps) == 1 and spatial == [height, width]:
        y = torch.bmm(flat, x.reshape(replicas, channels, -1))
    else:
        y = _PatchProduct.apply(x, flat, taps, spatial, stride, padding)
    return y.view(replicas, out, *spatial, count)


def _live(kernel: int, size: int, out: int, padding: int, stride: int) -> list[int]:
    """The taps of one axis that read at least one real pixel at some output position."""
    return [t for t in range(kernel) if any(0 <= o * stride + t - padding < size for o in range(out))]


class _PatchProduct(torch.autograd.Function):
    """Weights times patches. Written out because autograd would clear and add a whole padded map per tap."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        taps: list[tuple[int, int]],
        spatial: list[int],
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        replicas, channels, height, width, count = x.shape
        padded = x.new_zeros(replicas, channels, height + 2 * padding[0], width + 2 * padding[1], count)
        padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width] = x
        patches = x.new_empty(replicas, channels, len(taps), *spatial, count)
        for index, window in enumerate(_windows(taps, spatial, stride)):
            patches[:, :, index] = padded[:, :, window[0], window[1]]
        patches = patches.view(replicas, channels * len(taps), -1)
        ctx.save_for_backward(patches, weight)
        ctx.geometry = (x.shape, padded.shape, taps, spatial, stride, padding)
        return torch.bmm(weight, patches)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        patches, weight = ctx.saved_tensors
        shape, padded_shape, taps, spatial, stride, padding = ctx.geometry
        (gradient,) = gradients
        to_weight = torch.bmm(gradient, patches.transpose(1, 2))
        if not ctx.needs_input_grad[0]:
            return None, to_weight, None, None, None, None
        to_patches = torch.bmm(weight.transpose(1, 2), gradient)
        to_patches = to_patches.view(shape[0], shape[1], len(taps), *spatial, shape[4])
        to_padded = gradient.new_zeros(padded_shape)
        for index, window in enumerate(_windows(taps, spatial, stride)):
            to_padded[:, :, window[0], window[1]] += to_patches[:, :, index]
        inside = to_padded[:, :, padding[0] : padding[0] + shape[2], padding[1] : padding[1] + shape[3]]
        return inside, to_weight, None, None, None, None


def _windows(taps: list[tuple[int, int]], spatial: list[int], stride: tuple[int, int]) -> list[tuple[slice, slice]]:
    return [
        (
            slice(i, i + (spatial[0] - 1) * stride[0] + 1, stride[0]),
            slice(j, j + (spatial[1] - 1) * stride[1] + 1, stride[1]),
        )
        for i, j in taps
    ]
