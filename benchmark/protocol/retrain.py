"""From an architecture to the network that is retrained."""

from torch import Tensor, nn

from benchmark import models, seeds
from benchmark.space import SearchSpace
from benchmark.training.loop import on_device

Masks = dict[str, Tensor]


def reinitialised(
    space: SearchSpace, network: nn.Module, mask: Tensor, seed: int, device: str, number: int = 0
) -> tuple[nn.Module, Masks]:
    """Return the extracted sub-network with weights drawn anew for its own widths, and the masks it is held to.

    `number` counts the draws of one architecture and seed.
    """
    sub = space.extract(network, space.architecture(mask, {}))
    masks = space.weight_masks(mask)
    models.initialise(sub, seeds.derive(seed, "retrain", *([number] if number else [])))
    sub = on_device(sub, device)
    for name, kept in masks.items():
        sub.get_parameter(name).data.mul_(kept.to(device))
    return sub, masks
