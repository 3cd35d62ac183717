"""What an architecture is worth on a new task: fine-tuned there, and measured, outside a suite."""

import torch
from torch import Tensor, nn

from benchmark.config.params import FineTuning, Recipe, WeightsMode
from benchmark.data.tensors import check_images, check_labels
from benchmark.errors import BenchError, expect, unknown
from benchmark.jobs.progress import QUIET, Progress
from benchmark.models.copying import copied
from benchmark.models.layout import settle_layout
from benchmark.models.usable import check_classifier, check_network, check_weights_finite
from benchmark.models.wrappers import unwrapped
from benchmark.networks.subnetwork import SubNetwork, architecture_of
from benchmark.protocol.fewshot import Draw, adapted
from benchmark.protocol.retrain import reinitialised
from benchmark.protocol.source import trained_on
from benchmark.pruning.problem import Problem
from benchmark.space import Architecture
from benchmark.training.loop import Task, accuracy, on_device

FINETUNE = FineTuning(steps=25, batch=20, lr=0.1, norm_momentum=0.5)


def finetune(
    problem: Problem,
    found: SubNetwork | Architecture,
    images: Tensor,
    labels: Tensor,
    weights: WeightsMode = "inherit",
    recipe: Recipe = FINETUNE,
    seed: int = 0,
) -> nn.Module:
    """Retrain what was found in `problem` on a new task's images; returns the network in eval mode.

    It is what the suite does with one k-shot draw. With the weights mode `inherit` the training starts from the
    pruner's weights, or from the pretrained large model's where there are none; with `fresh` from new ones that are
    trained on the problem's source first, with `scratch` from new ones. The classifier is replaced by one for the
    classes of `labels` (int64 [N] from 0), drawn from `seed`, as is the order of batches. `images` are uint8
    [N, C, H, W] in the shape of the source's, and are normalised as those are. Raises `BenchError` for others, and when
    `found` was made for another model.
    """
    expect(recipe, Recipe, "recipe", "api.FineTuning(steps=25, batch=20, lr=0.1, norm_momentum=0.5)")
    task = _task(problem, images, labels)
    network = _network(problem, found, weights)
    mask = problem.space.mask(architecture_of(found))
    masks = problem.space.weight_masks(mask)
    with Progress(quiet=QUIET) as bar:
        if weights == "fresh":
            watched = bar.steps("retraining", problem.recipe.steps)
            trained_on(network, problem.train, problem.recipe, problem.seed, masks, watched)
        # Nothing is measured here, so no other images are needed.
        draw = Draw(shots=0, draw=0, train=task, test=task, classes=int(labels.max()) + 1, seed=seed)
        template, (state,) = adapted(network, [draw], recipe, masks)
    # Of a tensor with several names, networks that are trained together have the first only.
    template.load_state_dict(state, strict=False)
    return template


def evaluate(
    problem: Problem,
    found: SubNetwork | Architecture | nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
) -> float:
    """Return the share of images that a network classifies correctly (Top-1), in [0, 1].

    `images` and `labels` are those of `finetune`; without them it is the source's validation part. A `SubNetwork` and
    an `Architecture` are measured with the weights of the mode `inherit`. Raises `BenchError` for images of another
    shape, and when `found` was made for another model.
    """
    if (images is None) != (labels is None):
        raise BenchError("evaluate: give images and labels, or neither of them for the source's validation part")
    task = problem.validation if images is None or labels is None else _task(problem, images, labels)
    if isinstance(found, nn.Module):
        network = unwrapped(found)
        check_network(network, "found")
        network = copied(network).to(problem.device)
        check_weights_finite(network, "found")
        settle_layout(network, torch.zeros(1, *task.shape, device=problem.device))
        network = on_device(network, problem.device)
    else:
        network = _network(problem, found, "inherit")
    classes = check_classifier(network, task.normalise(task.pixels(torch.arange(1))), "found")
    check_labels(task.labels, len(task), classes)
    return accuracy(network.eval(), task)


def _network(problem: Problem, found: SubNetwork | Architecture, weights: str) -> nn.Module:
    """The sub-network of a problem's large model, with the first weights of a weights mode."""
    space, architecture = problem.space, architecture_of(found)
    mask = space.mask(architecture)
    if weights not in ("fresh", "scratch", "inherit"):
        raise unknown("weights mode", weights, ("fresh", "scratch", "inherit"), "weights")
    if weights != "inherit":
        return reinitialised(space, problem.network, mask, problem.seed, problem.device)[0]
    large = copied(problem.network)
    state = found.state if isinstance(found, SubNetwork) else None
    large.load_state_dict(problem.load_pretrained()[0] if state is None else state)
    return on_device(space.extract(large, architecture), problem.device)


def _task(problem: Problem, images: Tensor, labels: Tensor) -> Task:
    """Images of a new task as the problem's network sees them."""
    check_images(images, problem.train.shape)
    check_labels(labels, len(images))
    return Task(images, labels, problem.train.mean.cpu(), problem.train.std.cpu()).to(problem.device)
