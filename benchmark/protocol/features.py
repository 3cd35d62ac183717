"""Features of images: what the last hidden layer of a network makes of them, or their pixels."""

import torch
from torch import Tensor, nn

from benchmark.models import head_names
from benchmark.training.loop import Task

BATCH = 512


@torch.no_grad()
def features(network: nn.Module, task: Task) -> Tensor:
    """Return the inputs of the network's classifier for every image of a task, float32 [N, D].

    The network runs in eval mode. Of a classifier that is a convolution the maps it reads are averaged; of several
    classifiers the first counts.
    """
    seen: list[Tensor] = []
    head = network.get_submodule(head_names(network, torch.zeros(1, *task.shape))[0])
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    found = []
    try:
        network.eval()
        for index in torch.arange(len(task), device=task.labels.device).split(BATCH):
            seen.clear()
            network(task.normalise(task.pixels(index)).contiguous(memory_format=torch.channels_last))
            read = seen[-1].float()
            found.append(read if read.ndim == 2 else read.flatten(2).mean(-1))
    finally:
        handle.remove()
    return torch.cat(found)


def pixels(task: Task) -> Tensor:
    """Return every image of a task as the network would see it, as one row of numbers each, float32 [N, C H W]."""
    index = torch.arange(len(task), device=task.labels.device)
    return task.normalise(task.pixels(index)).flatten(1)


def centred_and_normalised(rows: Tensor, centre: Tensor) -> Tensor:
    """Return rows [N, D] less `centre` [D], scaled to length 1; a row at the centre stays zero.

    "CL2N" of Wang et al. 2019, SimpleShot, arXiv 1911.04623, whose centre is the mean over the source's training part.
    """
    return nn.functional.normalize(rows - centre, dim=1)
