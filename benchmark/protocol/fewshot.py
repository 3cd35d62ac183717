"""Few-shot tasks on the targets: what is drawn, and the training on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmark import models, seeds
from benchmark.config.params import FineTuning, Recipe
from benchmark.jobs.specs import TargetSpec
from benchmark.models.copying import copied
from benchmark.protocol.source import Source
from benchmark.protocol.target import Target
from benchmark.space.surgery.mask_and_cut import run
from benchmark.training.loop import Task, accuracy, fit, set_train_mode, stacked_batches
from benchmark.training.stacked import NotStackable, Replicas

State = dict[str, Tensor]


@dataclass(frozen=True)
class Draw:
    """One few-shot task: its place in the rows, its training images, and the seed of its head and batches."""

    shots: int
    draw: int
    train: Task
    test: Task
    classes: int
    seed: int


def target_draws(target: Target, spec: TargetSpec, source: Source) -> list[Draw]:
    """Return every few-shot task that is fine-tuned on, the same for all methods at equal seed."""
    whole = target.task.subset(target.split.test).to(source.device)
    draws = []
    for shots in spec.finetune_shots or spec.shots:
        for one in target.episodes(shots, spec.draws):
            # In the order of the target's own labels, whatever number an episode gives them.
            order = sorted(range(len(one.classes)), key=one.classes.__getitem__)
            train, test = target.task.subset(one.support[order].flatten()), whole
            if spec.ways is not None:
                train, test = (relabelled(part, one.classes) for part in (train, whole))
            draws.append(Draw(shots, one.number, train.to(source.device), test, len(one.classes), one.seed))
    return draws


def relabelled(task: Task, classes: Sequence[int]) -> Task:
    """Return the part of a task with these classes, which become 0, 1, ... in the given order."""
    new = torch.full((int(task.labels.max()) + 1,), -1, dtype=torch.int64, device=task.labels.device)
    new[list(classes)] = torch.arange(len(classes), device=task.labels.device)
    index = (new[task.labels] >= 0).nonzero().flatten()
    return task.subset(index, new[task.labels[index]])


def adapt(network: nn.Module, draws: Sequence[Draw], recipe: Recipe, masks: Mapping[str, Tensor]) -> list[float]:
    """Replace the head and train on the shots, once per draw; returns the accuracies on the draws' test parts.

    How is said at `adapted`.
    """
    template, trained = adapted(network, draws, recipe, masks)
    return [accuracy(partial(run, template, state), draw.test) for state, draw in zip(trained, draws, strict=True)]


def adapted(
    network: nn.Module, draws: Sequence[Draw], recipe: Recipe, masks: Mapping[str, Tensor]
) -> tuple[nn.Module, list[State]]:
    """Replace the head and train on the shots, once per draw; returns a network in eval mode and its state per draw.

    All weights are trained, or the new head only where the recipe says so (`FineTuning.trained`). The new head is
    dense and drawn from the draw's seed; `masks` hold the weights of the body. The draws have one number of classes.
    `network` itself is left as it is.
    """
    states, template = [], set_train_mode(copied(network), recipe)
    image = torch.zeros(1, *draws[0].train.shape)
    for draw in draws:
        models.replace_head(template, draw.classes, draw.seed, image)
        states.append({name: tensor.detach().clone() for name, tensor in template.state_dict().items()})
    if isinstance(recipe, FineTuning) and recipe.trained == "head":
        trained = _probed(template, states, draws, recipe)
    else:
        heads = tuple(f"{name}." for name in models.head_names(template, image))
        body = {name: mask for name, mask in masks.items() if not name.startswith(heads)}
        trained = _fine_tuned(template, states, draws, recipe, body)
    return template.eval(), trained


def _orders(draws: Sequence[Draw]) -> list[torch.Generator]:
    return [seeds.generator(draw.seed, "order") for draw in draws]


def _fine_tuned(
    template: nn.Module, states: Sequence[State], draws: Sequence[Draw], recipe: Recipe, masks: Mapping[str, Tensor]
) -> list[State]:
    """Train all weights, the draws as stacked replicas where the network allows it, else one by one."""
    try:
        replicas = Replicas(template, states, draws[0].train.shape)
    except NotStackable:
        return [_alone(template, state, draw, recipe, masks) for state, draw in zip(states, draws, strict=True)]
    data = stacked_batches([draw.train for draw in draws], recipe, _orders(draws))
    fit(replicas, replicas.parameters, data, recipe, replicas.masks(masks))
    return [replicas.state(index) for index in range(len(draws))]


def _alone(template: nn.Module, state: State, draw: Draw, recipe: Recipe, masks: Mapping[str, Tensor]) -> State:
    template.load_state_dict(state)
    fit(template.train(), dict(template.named_parameters()), _batches(draw, recipe), recipe, masks)
    return {name: tensor.detach().clone() for name, tensor in template.state_dict().items()}


def _batches(draw: Draw, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """A replica's batches: a network that cannot be stacked is trained no other than one that can."""
    for images, labels in stacked_batches([draw.train], recipe, _orders([draw])):
        yield images[0], labels[0]


def _probed(template: nn.Module, states: Sequence[State], draws: Sequence[Draw], recipe: Recipe) -> list[State]:
    """Train the heads on the features of the frozen body in eval mode; all draws share one pass through the body."""
    head, *others = models.head_names(template, torch.zeros(1, *draws[0].train.shape))
    if others or not _ends_in(template, head, draws[0].train):
        return [_probed_alone(template, state, draw, recipe) for state, draw in zip(states, draws, strict=True)]
    names = [name for name in states[0] if name.startswith(f"{head}.")]
    heads = {name: torch.stack([state[name] for state in states]).requires_grad_() for name in names}
    features = _features(template, head)

    def forward(images: Tensor) -> Tensor:
        inputs = features(images.flatten(0, 1)).view(*images.shape[:2], -1)
        logits = torch.bmm(inputs, heads[f"{head}.weight"].transpose(1, 2))
        return logits + heads[f"{head}.bias"][:, None] if f"{head}.bias" in heads else logits

    fit(forward, heads, stacked_batches([draw.train for draw in draws], recipe, _orders(draws)), recipe)
    return [
        {**state, **{name: tensor[index].detach() for name, tensor in heads.items()}}
        for index, state in enumerate(states)
    ]


def _probed_alone(template: nn.Module, state: State, draw: Draw, recipe: Recipe) -> State:
    template.load_state_dict(state)
    head = models.freeze_body(template, torch.zeros(1, *draw.train.shape))
    fit(template.eval(), head, _batches(draw, recipe), recipe)
    return {name: tensor.detach().clone() for name, tensor in template.state_dict().items()}


def _ends_in(template: nn.Module, head: str, task: Task) -> bool:
    """Whether the logits are what a linear head makes of one row of features per image."""
    layer, seen = template.get_submodule(head), []
    handle = layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    images = task.normalise(task.pixels(torch.arange(1, device=task.labels.device)))
    with torch.no_grad():
        logits = template.eval()(images)
    handle.remove()
    if not isinstance(layer, nn.Linear) or len(seen) != 1:
        return False
    features, found = seen[0]
    return features.ndim == 2 and torch.equal(found, logits)


def _features(template: nn.Module, head: str) -> Callable[[Tensor], Tensor]:
    """The network up to the input of its head, in eval mode and without gradients."""
    body = copied(template).eval()
    parent, _, leaf = head.rpartition(".")
    setattr(body.get_submodule(parent), leaf, nn.Identity())

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            features: Tensor = body(images.contiguous(memory_format=torch.channels_last))
        return features

    return run
