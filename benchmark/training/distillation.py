"""A teacher for a network in training: its softened logits, and what its layers make of the images of a batch.

The loss of a batch, of the labels' cross-entropy CE and the teacher's part,

    (1 - w) CE + w T^2 KL(softmax(z_t / T) || softmax(z_s / T)) + v (images + layers),

with z_t and z_s the logits of teacher and network: Hinton et al. 2015, arXiv 1503.02531. The last two terms, of
`distil: structured`, are after Liu et al. 2020, Efficient Crowd Counting via Structured Knowledge Transfer, arXiv
2003.10120. There the maps of a network's stages are compared with the teacher's, by the cosine over the channels of a
pixel, and so is how stages go with each other, by the products of their channels. That needs equal widths, or trained
adapters. Here both terms are of the Gram matrices of a batch, which know no width.
"""

from collections.abc import Mapping
from itertools import combinations
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config.params import Distillation, Recipe
from benchmark.errors import BenchError
from benchmark.training.loop import at_least_single, autocast

Size = tuple[int, ...]


class Teaching:
    """The loss of a network under a teacher: called with a batch's images, logits and own loss, as `fit` calls it.

    `teacher` runs in eval mode and learns nothing. Use it as a context, which ends the watch on both networks' layers.
    Where `settings.structure` is 0 no layer is watched. Raises `BenchError`, when called, where the two networks have
    no layer in common that could be compared.
    """

    def __init__(self, network: nn.Module, teacher: nn.Module, settings: Distillation, recipe: Recipe) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._settings = settings
        self._recipe = recipe
        self._stages = [Stages(network), Stages(teacher)] if settings.structure else []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for stages in self._stages:
            stages.end()

    def __call__(self, images: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the loss of a batch: `loss` is that of the labels, `logits` [B, K] are the network's own."""
        with torch.no_grad(), autocast(images.device, self._recipe):
            told = at_least_single(self._teacher(images))
        share = self._settings.weight
        loss = (1 - share) * loss + share * softened(logits, told, self._settings.temperature)
        if not self._stages:
            return loss
        own, the_teachers = (stages.take() for stages in self._stages)
        return loss + self._settings.structure * structure(own, the_teachers)


def softened(logits: Tensor, told: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || network) of logits [B, K] softened by T, the mean over images.

    The square keeps the gradient's size what it is at T = 1 (Hinton et al. 2015, section 2.1).
    """
    ours, theirs = (F.log_softmax(values / temperature, dim=1) for values in (logits, told))
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def structure(own: Mapping[Size, Tensor], the_teachers: Mapping[Size, Tensor]) -> Tensor:
    """Return how far a network's stages relate images, and each other, otherwise than the teacher's.

    `own` and `the_teachers` are maps [B, C, ...] by stage, whose widths C may differ; only stages of both count.
    """
    stages = [stage for stage in the_teachers if stage in own]
    if not stages:
        raise BenchError("distil: structured: no stage of the network is one of its teacher; use distil: logits")
    grams = [[gram(maps[stage]) for stage in stages] for maps in (own, the_teachers)]
    return between_images(*grams) + between_stages(*grams)


def gram(maps: Tensor) -> Tensor:
    """Return the inner products [B, B] of the maps [B, ...] of a batch's images, less their mean over the batch."""
    rows = at_least_single(maps).flatten(1)
    rows = rows - rows.mean(0)
    return rows @ rows.T


def between_images(own: list[Tensor], the_teachers: list[Tensor]) -> Tensor:
    """Return 1 - cos of how an image goes with all of its batch, here and at the teacher; mean over images and stages.

    Each list has the Gram matrices [B, B] of the stages.
    """
    pairs = zip(own, the_teachers, strict=True)
    return torch.stack([1 - F.cosine_similarity(ours, theirs, dim=1).mean() for ours, theirs in pairs]).mean()


def between_stages(own: list[Tensor], the_teachers: list[Tensor]) -> Tensor:
    """Return the mean square over pairs of stages of how much better two go together here than at the teacher.

    Two stages go together as far as the cosine of their Gram matrices says: the linear alignment of centred kernels,
    Kornblith et al. 2019, arXiv 1905.00414, which is the norm of the products of their channels over the batch. Zero
    of a single stage.
    """
    ours, theirs = (alignments(grams) for grams in (own, the_teachers))
    return F.mse_loss(ours, theirs) if len(ours) else ours.sum()


def alignments(grams: list[Tensor]) -> Tensor:
    """Return the cosine of every two of the matrices, as [pairs]."""
    pairs = combinations([matrix.flatten() for matrix in grams], 2)
    found = [F.cosine_similarity(one, other, dim=0) for one, other in pairs]
    return torch.stack(found) if found else grams[0].new_zeros(0)


class Stages:
    """Watches the outputs of a network's stages, by the size of their maps.

    A stage ends where a layer changes the size of the maps: what that layer reads is the stage's output, [B, C, H, W].
    What the last linear layer reads, [B, D], is the output of the last, whose size is (). Layers that were narrowed or
    left out leave both where they are.
    """

    def __init__(self, network: nn.Module) -> None:
        self._seen: dict[Size, Tensor] = {}
        leaves = [module for module in network.modules() if not any(module.children())]
        self._handles = [leaf.register_forward_hook(self._look) for leaf in leaves]

    def take(self) -> dict[Size, Tensor]:
        """Return the outputs of the last forward pass, and forget them."""
        seen, self._seen = self._seen, {}
        return seen

    def end(self) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()

    def _look(self, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        read = inputs[0] if inputs else None
        if not isinstance(read, Tensor) or not isinstance(output, Tensor):
            return
        if read.ndim == 4 and read.shape[2:] != output.shape[2:]:
            self._seen[tuple(read.shape[2:])] = read
        elif read.ndim == 2 and isinstance(module, nn.Linear):
            self._seen[()] = read
