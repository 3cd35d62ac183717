"""Parameters and multiply-accumulates, measured on a network as it is."""

from collections.abc import Callable

from torch import Tensor, nn, no_grad

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def weight_layers(module: nn.Module) -> dict[str, Tensor]:
    """Return the weight of every convolution and linear layer by the layer's name, in the network's order."""
    return {
        name: layer.weight for name, layer in module.named_modules() if isinstance(layer, (*CONVOLUTIONS, nn.Linear))
    }


def positions(module: nn.Module, example_input: Tensor) -> dict[str, int]:
    """Return, per convolution and linear layer, how often its weights are applied to one input.

    That is the number of output positions (1 for a linear layer on a vector), summed over repeated
    calls; layers that do not run are absent. The network runs once, in eval mode, and is left as it was.
    """
    found: dict[str, int] = {}

    def recorder(name: str, outputs: int) -> Callable[[nn.Module, object, Tensor], None]:
        def record(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
            found[name] = found.get(name, 0) + output.numel() // (len(example_input) * outputs)

        return record

    training = {layer: layer.training for layer in module.modules()}
    handles = [
        module.get_submodule(name).register_forward_hook(recorder(name, weight.shape[0]))
        for name, weight in weight_layers(module).items()
    ]
    try:
        with no_grad():
            module.eval()(example_input)
    finally:
        for handle in handles:
            handle.remove()
        for layer, mode in training.items():
            layer.training = mode
    return found


def count(module: nn.Module, example_input: Tensor) -> tuple[int, int]:
    """Return (params, macs) of a network for one input.

    Parameters: every entry of every parameter. MACs: one multiply-accumulate is 1; convolutions and
    linear layers only (batch norm is folded, biases are free). Zeroed weights count: it measures shapes.
    """
    params = sum(parameter.numel() for parameter in module.parameters())
    weights = weight_layers(module)
    macs = sum(weights[name].numel() * times for name, times in positions(module, example_input).items())
    return params, macs
