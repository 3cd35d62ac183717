"""What PyTorch wraps around a network to train it, and the names it gives to weights."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

PREFIXES = ("module.", "_orig_mod.")
COUNTER = "n_averaged"  # beside the network, in the state of `AveragedModel`


def unwrapped(network: Any) -> Any:
    """Return the network within `DataParallel`, `DistributedDataParallel`, `torch.compile` and `AveragedModel`.

    Wrappers within each other are all taken off. Anything else is returned as it is.
    """
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel | AveragedModel):
            network = network.module
        elif isinstance(network, nn.Module) and "_orig_mod" in network._modules:
            network = network._modules["_orig_mod"]
        else:
            return network


def unprefixed(state: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Return a state dict under the names that its network has without wrappers.

    `names` are those of the network the state is for. A prefix of `PREFIXES` goes where all names have it and none of
    `names` does; the counter of `AveragedModel` goes with it.
    """
    result = dict(state)
    while True:  # wrappers within each other
        own = [name for name in result if name != COUNTER or COUNTER in names]
        prefix = next((one for one in PREFIXES if own and all(name.startswith(one) for name in own)), None)
        if prefix is None or any(name.startswith(prefix) for name in names):
            return result
        result = {name.removeprefix(prefix): result[name] for name in own}
