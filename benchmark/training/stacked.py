"""Many trainings of one network as one: R replicas with weights of their own, stepped together.

Few-shot fine-tuning repeats a tiny training many times (shots x draws) on the same architecture; run one by one,
almost all of its time is the fixed cost of starting operators. Here the replicas' channels lie side by side,
[N, R * C, H, W] in channels-last layout, so that one grouped convolution, batch norm or matrix product serves all.
On a 1x1 map a padded 3x3 kernel can only ever read its centre: there the other eight taps, whose gradient is exactly
zero, are left out of the training and keep their values.
"""

import operator
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from benchmark.models.layout import is_order

Operation = Callable[..., Tensor]


class NotStackable(Exception):
    """The network has an operation that has no stacked form; train its replicas one by one."""


class Replicas:
    """R copies of a network with separate weights, run in one forward pass.

    `states` are the copies' state dicts, `shape` that of an image, (C, H, W). `parameters` and `buffers` hold what is
    trained by the network's own names, each [R, ...]. Calling with images [R, N, C, H, W] gives logits [R, N, K];
    batch norm uses batch statistics and updates the running ones. Raises `NotStackable`.
    """

    def __init__(self, network: nn.Module, states: Sequence[Mapping[str, Tensor]], shape: tuple[int, ...]) -> None:
        try:
            graph = fx.Tracer().trace(network)
        except Exception as error:
            raise NotStackable(f"not traceable: {error}") from error
        _check_plain(network)
        self.count = len(states)
        self._states = states
        self._modules = dict(network.named_modules())
        self._centred = _centred(network, shape)
        names = [name for name, _ in network.named_parameters()]
        self.parameters = {
            name: torch.stack([self._trained(name, state[name].detach()) for state in states]).contiguous()
            for name in names
        }
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.buffers = {
            name: torch.stack([state[name] for state in states])
            for name, buffer in network.named_buffers()
            if buffer.is_floating_point() and name in states[0]  # not those that no state holds
        }
        self._steps = [(node, self._operation(node)) for node in graph.nodes]

    def masks(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return masks of the network's weights in the shapes of the trained parameters."""
        return {name: self._trained(name, mask) for name, mask in masks.items()}

    def state(self, replica: int) -> dict[str, Tensor]:
        """Return one replica's parameters and running statistics, as the network names them."""
        state = {name: buffer[replica].detach() for name, buffer in self.buffers.items()}
        for name, parameter in self.parameters.items():
            whole = self._states[replica][name].detach().clone()
            self._trained(name, whole).copy_(parameter[replica].detach())
            state[name] = whole
        return state

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits [R, N, K] of images [R, N, C, H, W], in training mode."""
        values: dict[fx.Node, Any] = {}
        for node, operation in self._steps:
            if node.op == "placeholder":
                together = images.transpose(0, 1).flatten(1, 2)
                values[node] = together.contiguous(memory_format=torch.channels_last)
            else:
                arguments = fx.node.map_arg(node.args, lambda item: values[item])
                values[node] = operation(*arguments)
        return values[next(reversed(values))]

    def _trained(self, name: str, tensor: Tensor) -> Tensor:
        """The part of a parameter that is trained, a view: the centre of a centred kernel, else all of it."""
        return tensor[..., 1:2, 1:2] if name in self._centred else tensor

    def _operation(self, node: fx.Node) -> Operation:
        if node.op == "placeholder":
            return _identity
        if node.op == "output":
            return self._by_replica
        if node.op == "call_module":
            target = str(node.target)
            return self._layer(target, self._modules[target])
        if node.kwargs or node.target not in _FUNCTIONS or node.args[1:] not in _FUNCTIONS[node.target][1]:
            raise NotStackable(f"operation {node.target}")
        operation = _FUNCTIONS[node.target][0]
        return operation if operation is torch.add else lambda x, *_: operation(x)

    def _layer(self, name: str, module: nn.Module) -> Operation:
        for kind in ("weight", "bias", "running_mean", "running_var"):
            # Tied to another layer's, or computed from other tensors: there is no tensor of its own to stack.
            own = f"{name}.{kind}" in self.parameters or f"{name}.{kind}" in self.buffers
            if not own and isinstance(getattr(module, kind, None), Tensor):
                raise NotStackable(f"layer {name}: its {kind} is not its own")
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
            case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)) | nn.MaxPool2d():
                return module
        raise NotStackable(f"layer {name}: {type(module).__name__}")

    def _convolution(self, name: str, module: nn.Conv2d) -> Operation:
        if f"{name}.weight" in self._centred or (module.kernel_size == (1, 1) and module.stride == (1, 1)):
            return lambda x: self._product(name, x, module.bias is not None)

        def run(x: Tensor) -> Tensor:
            weight = self.parameters[f"{name}.weight"].flatten(0, 1)
            bias = None if module.bias is None else self.parameters[f"{name}.bias"].flatten()
            return F.conv2d(x, weight, bias, module.stride, module.padding, groups=self.count)

        return run

    def _linear(self, name: str, module: nn.Linear) -> Operation:
        return lambda x: self._product(name, x, module.bias is not None)

    def _product(self, name: str, x: Tensor, with_bias: bool) -> Tensor:
        """Multiply features [N, R * C, ...] by one matrix per replica, at every position of a map."""
        count, spatial = len(x), x.shape[2:]
        rows = x.movedim(1, -1).reshape(-1, self.count, x.shape[1] // self.count).transpose(0, 1)
        weight = self.parameters[f"{name}.weight"].flatten(2)
        y = torch.bmm(rows, weight.transpose(1, 2))
        if with_bias:
            y = y + self.parameters[f"{name}.bias"][:, None]
        return y.transpose(0, 1).reshape(count, *spatial, -1).movedim(-1, 1)

    def _normalisation(self, name: str, module: nn.BatchNorm2d) -> Operation:
        momentum = 0.1 if module.momentum is None else module.momentum

        def run(x: Tensor) -> Tensor:
            mean, variance = (self.buffers[f"{name}.{kind}"].view(-1) for kind in ("running_mean", "running_var"))
            scale, offset = (self.parameters[f"{name}.{kind}"].view(-1) for kind in ("weight", "bias"))
            return F.batch_norm(x, mean, variance, scale, offset, True, momentum, module.eps)

        return run

    def _by_replica(self, logits: Tensor) -> Tensor:
        return logits.view(len(logits), self.count, -1).transpose(0, 1)


def _centred(network: nn.Module, shape: tuple[int, ...]) -> set[str]:
    """The weights of 3x3 kernels, padded by one, that see 1x1 maps only when the network is shown images of `shape`."""
    sizes: dict[str, set[tuple[int, ...]]] = {}
    handles = [
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: sizes.setdefault(name, set()).add(tuple(inputs[0].shape[2:]))
        )
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.padding == (1, 1)
    ]
    training = network.training
    reference = next(network.parameters())
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape, dtype=reference.dtype, device=reference.device))
    network.train(training)
    for handle in handles:
        handle.remove()
    return {f"{name}.weight" for name, seen in sizes.items() if seen == {(1, 1)}}


def _identity(x: Tensor) -> Tensor:
    return x


def _pool_to_features(x: Tensor) -> Tensor:
    return x.mean((2, 3))


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
    "mean": (_pool_to_features, [((2, 3),), ([2, 3],)]),
}


def _check_plain(network: nn.Module) -> None:
    """Refuse what a graph of the layers does not show: weights that are not trained, and hooks."""
    frozen = next((name for name, one in network.named_parameters() if not one.requires_grad), None)
    if frozen is not None:
        raise NotStackable(f"{frozen} is frozen")
    for name, module in network.named_modules():
        before = [hook for hook in module._forward_pre_hooks.values() if not is_order(hook)]
        if before or module._forward_hooks or module._backward_pre_hooks or module._backward_hooks:
            raise NotStackable(f"layer {name}: has hooks")
