"""The one training loop, and the batches it is fed.

Pretraining, retraining, fine-tuning and the pruners' own training all go through `fit`. It trains one network
or several stacked replicas (`benchmark.training.stacked`) at once: a replica is one more leading dimension.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config.params import Recipe
from benchmark.errors import BenchError
from benchmark.models.layout import in_layout

TRAINING_FORWARDS = 3  # a training step costs a forward pass and a backward pass of twice its operations
FLOPS_PER_MAC = 2
Taught = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """Labelled images and the normalisation they are shown with.

    `labels` int64 [N] are those of rows `rows` (int64 [N]; None: all) of `images` uint8 [M, C, H, W], which are mapped
    from disk and shared by all parts of a data set: a part copies no pixels. `mean` and `std` per channel, of pixel
    values in [0, 1], always those of the source's training part, so that a target tells nothing before its shots are
    drawn.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an image, (C, H, W)."""
        return tuple(self.images.shape[1:])

    def pixels(self, index: Tensor) -> Tensor:
        """Return the images uint8 [B, C, H, W] at `index` (int64 [B])."""
        return self.images[index if self.rows is None else self.rows[index]]

    def subset(self, index: Tensor, labels: Tensor | None = None) -> "Task":
        """Return the part of the task at `index` (int64 [M]), with other `labels` if given."""
        rows = index if self.rows is None else self.rows[index]
        return Task(self.images, self.labels[index] if labels is None else labels, self.mean, self.std, rows)

    def to(self, device: str) -> "Task":
        """Return the same task on a device; beyond the CPU its own images are copied there, once."""
        if torch.device(device).type == self.labels.device.type:
            return self
        images = self.images if self.rows is None else self.images[self.rows]
        return Task(images.to(device), self.labels.to(device), self.mean.to(device), self.std.to(device))

    def normalise(self, images: Tensor) -> Tensor:
        """Return uint8 images [..., C, H, W] as the network sees them: normalised float32."""
        shape = (-1, 1, 1)
        return (images.float() / 255 - self.mean.view(shape)) / self.std.view(shape)


def batches(task: Task, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `recipe.steps` batches: images float32 [B, C, H, W] (channels last) and labels [B].

    The order runs through one random permutation of the task after the other; B is `recipe.batch` or the
    whole task where that is smaller. `generator` is a CPU generator, so that the order does not depend on the device.
    """
    size = min(recipe.batch, len(task))
    order = _order(len(task), recipe.steps * size, generator)
    for step in range(recipe.steps):
        index = order[step * size : (step + 1) * size].to(task.labels.device)
        images = augmented(task.pixels(index), recipe, generator)
        yield task.normalise(images).contiguous(memory_format=torch.channels_last), task.labels[index]


def stacked_batches(
    tasks: Sequence[Task], recipe: Recipe, generators: Sequence[torch.Generator]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches for R replicas, each on its own task: images [R, B, C, H, W] and labels [R, B].

    B is `recipe.batch` for every replica: a task smaller than a batch is repeated within it, each copy shifted anew.
    """
    orders = [
        _order(len(task), recipe.steps * recipe.batch, generator)
        for task, generator in zip(tasks, generators, strict=True)
    ]
    for step in range(recipe.steps):
        part = slice(step * recipe.batch, (step + 1) * recipe.batch)
        images, labels = [], []
        for task, order, generator in zip(tasks, orders, generators, strict=True):
            index = order[part].to(task.labels.device)
            images.append(augmented(task.pixels(index), recipe, generator))
            labels.append(task.labels[index])
        yield tasks[0].normalise(torch.stack(images)), torch.stack(labels)


def _order(size: int, length: int, generator: torch.Generator) -> Tensor:
    rounds = math.ceil(length / size)
    return torch.cat([torch.randperm(size, generator=generator) for _ in range(rounds)])[:length]


def augmented(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return images [B, C, H, W] as a training step sees them: each shifted, and mirrored with probability 1/2."""
    images = shift(images, recipe.shift, generator)
    if not recipe.flip:
        return images
    mirrored = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator).bool().to(images.device)
    return images.flip(-1).where(mirrored, images)


def shift(images: Tensor, largest: int, generator: torch.Generator) -> Tensor:
    """Return images [B, C, H, W], each translated by a random offset of up to `largest` pixels, filled with black."""
    if largest == 0:
        return images
    count, _, height, width = images.shape
    padded = F.pad(images, (largest,) * 4)
    offsets = torch.randint(0, 2 * largest + 1, (2, count), generator=generator).to(images.device)
    rows = offsets[0][:, None] + torch.arange(height, device=images.device)
    columns = offsets[1][:, None] + torch.arange(width, device=images.device)
    every = torch.arange(count, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return a step's learning rate: linear warm-up over `recipe.warmup` of the steps, then cosine decay to zero."""
    warm = round(recipe.warmup * recipe.steps)
    if step < warm:
        return recipe.lr * (step + 1) / (warm + 1)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, recipe.steps - warm)))


def sgd(parameters: Iterable[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser every training of the suite uses: SGD with Nesterov momentum, fused into one kernel."""
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def loss_of(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of logits [B, K], or for R replicas [R, B, K] the sum of their means.

    Summing over replicas keeps every replica's gradient what it would be alone.
    """
    replicas = 1 if logits.ndim == 2 else len(logits)
    return replicas * F.cross_entropy(logits.flatten(0, -2), labels.flatten(), label_smoothing=smoothing)


def autocast(device: torch.device, recipe: Recipe) -> torch.autocast:
    """Return the context of a training's forward pass: bfloat16 where the recipe asks for it, else float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16")


def at_least_single(logits: Tensor) -> Tensor:
    """Return logits in float32 at least, so that a loss is never summed in bfloat16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def fit(
    forward: Callable[[Tensor], Tensor],
    parameters: Mapping[str, Tensor],
    data: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
    masks: Mapping[str, Tensor] = MappingProxyType({}),
    on_step: Callable[[int, float], None] | None = None,
    start: int = 0,
    taught: Taught | None = None,
) -> float:
    """Train `parameters` in place by the recipe on the batches of `data`; returns the last batch's loss per replica.

    `masks` (same shapes, 0 or 1) freeze weights at the zeros they start from: their gradient is dropped, so that
    neither momentum nor decay moves them. The first batch is that of step `start`; fewer batches than `recipe.steps`
    stop the schedule early. `taught` returns the loss that is followed in the place of the labels' own, from a batch's
    images, its logits and that loss; it is for one network, not for replicas. Raises `BenchError` when the loss is no
    longer finite.
    """
    optimizer = sgd(parameters.values(), recipe)
    frozen = [(parameters[name], mask.to(parameters[name].device)) for name, mask in masks.items()]
    loss = torch.zeros(())
    replicas = 1
    for step, (images, labels) in enumerate(data, start):
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, step)
        optimizer.zero_grad(set_to_none=True)
        with autocast(images.device, recipe):
            logits = forward(images)
        logits = at_least_single(logits)
        loss = loss_of(logits, labels, recipe.label_smoothing)
        if taught is not None:
            loss = taught(images, logits, loss)
        loss.backward()
        for parameter, mask in frozen:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
        replicas = 1 if labels.ndim == 1 else len(labels)
        clip([p.grad for p in parameters.values() if p.grad is not None], recipe.clip, stacked=labels.ndim == 2)
        optimizer.step()
        if on_step is not None:
            on_step(step, float(loss.detach()) / replicas)
    final = float(loss.detach()) / replicas
    if not math.isfinite(final):
        raise BenchError(f"training diverged (loss {final}); lower the recipe's lr ({recipe.lr}) in params.yaml")
    return final


def clip(gradients: list[Tensor], longest: float, stacked: bool = False) -> None:
    """Scale gradients in place to a joint norm of at most `longest`; each replica's on its own where `stacked`.

    A gradient that is not finite is dropped: a layer pruned to one dead channel can overflow the backward pass of a
    deep network, and must cost that network its accuracy, not the sweep.
    """
    if not stacked:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        scale = _factor(norm, longest)
        if not bool(scale == 1):
            for gradient in gradients:
                gradient.nan_to_num_(0, 0, 0).mul_(scale)
        return
    norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
    scale = _factor(torch.linalg.vector_norm(norms, dim=0), longest)
    if not bool((scale == 1).all()):
        for gradient in gradients:
            gradient.nan_to_num_(0, 0, 0).mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


def _factor(norm: Tensor, longest: float) -> Tensor:
    return torch.where(norm.isfinite(), (longest / norm).clamp(max=1), 0)


@torch.inference_mode()
def accuracy(network: Callable[[Tensor], Tensor], task: Task, batch: int = 1024, top: int = 1) -> float:
    """Return the share of the task's images whose class is among the `top` first of the network, in eval mode."""
    correct = 0
    for index in torch.arange(len(task), device=task.labels.device).split(batch):
        images = task.normalise(task.pixels(index)).contiguous(memory_format=torch.channels_last)
        logits = network(images)
        best = logits.argmax(-1)[:, None] if top == 1 else logits.topk(min(top, logits.shape[-1])).indices
        correct += int((best == task.labels[index][:, None]).any(-1).sum())
    return correct / len(task)


def training_flops(macs: int, images: int) -> int:
    """Return the floating-point operations of training on `images` images with a network of `macs` MACs each."""
    return FLOPS_PER_MAC * TRAINING_FORWARDS * macs * images


def set_train_mode(network: nn.Module, recipe: Recipe) -> nn.Module:
    """Return the network in training mode, its batch norms following the recipe's momentum."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = recipe.norm_momentum
    return network.train()


def on_device(network: nn.Module, device: str) -> nn.Module:
    """Return the network on the device, in the channels-last layout where it runs in that (see `settle_layout`)."""
    return in_layout(network.to(device))
