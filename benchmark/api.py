"""The suite from Python: from a model to a smaller network, and to its accuracy on a new task.

    from pathlib import Path
    from benchmark import api

    data = api.load_data(api.DatasetRef(name="digits", classes=[0, 1, 2, 3, 4]))
    model = api.build_model(api.ModelRef(name="own:vgg16", width=0.125), in_channels=1, classes=5, image_size=8)
    problem = api.problem(model, data.images, data.labels, budgets=[0.05])
    found = api.search("dap", problem)[0]
    found.save(Path("dap.safetensors"))
    network = api.finetune(problem, found, data.images[:100], data.labels[:100], weights="fresh")
    print(api.evaluate(problem, network))

`model` may be any classifier whose layers the search space knows, `data` any images and labels, and `network` is a
plain, smaller `torch.nn.Module`; `api.extract(model, found)` gives it untrained. `run_search` and `transfer` do the
same for a suite of params.yaml, as `dapbench search` and `dapbench transfer` do. What takes long shows its progress on
stderr.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from benchmark import models, seeds
from benchmark.config.params import (
    DatasetRef,
    FineTuning,
    ModelRef,
    Params,
    Recipe,
    Split,
    load_params,
    parse,
)
from benchmark.data import load as load_data
from benchmark.data.splits import split_source
from benchmark.data.statistics import channel_stats
from benchmark.data.tensors import check_images, check_labels
from benchmark.errors import BenchError, cause, expect
from benchmark.jobs.options import options
from benchmark.jobs.progress import QUIET, Progress
from benchmark.models.copying import copied
from benchmark.models.layout import settle_layout
from benchmark.models.usable import check_classifier, check_network, check_trainable, check_weights_finite
from benchmark.models.wrappers import unwrapped
from benchmark.networks.extraction import extract, large_model, load_network, load_weights, save_network
from benchmark.networks.finetuning import evaluate, finetune
from benchmark.networks.subnetwork import SubNetwork
from benchmark.pipeline.one_off import run_search, transfer
from benchmark.pipeline.validate import validate
from benchmark.protocol.source import trained_on
from benchmark.pruning.problem import Problem
from benchmark.pruning.registry import pruner, pruners
from benchmark.space import Architecture, SearchSpace, build_space
from benchmark.training.loop import Task, on_device, training_flops

__all__ = [
    "Architecture",
    "DatasetRef",
    "FineTuning",
    "ModelRef",
    "Params",
    "Problem",
    "Recipe",
    "SearchSpace",
    "Split",
    "SubNetwork",
    "build_model",
    "build_space",
    "evaluate",
    "extract",
    "finetune",
    "large_model",
    "load_data",
    "load_network",
    "load_params",
    "load_weights",
    "problem",
    "pruners",
    "run_search",
    "save_network",
    "search",
    "transfer",
    "validate",
]

RECIPE = Recipe(steps=100, batch=128, lr=0.1)
# Which large model a network is, so that the architectures found in it name it.
_REFS: "WeakKeyDictionary[nn.Module, ModelRef]" = WeakKeyDictionary()


def build_model(ref: ModelRef, in_channels: int, classes: int, image_size: int) -> nn.Module:
    """Return the large model `ref` for images [N, in_channels, image_size, image_size].

    Its weights are those that `ref` names, else those of seed 0. Architectures found in it name it, so that the command
    line can build it again. Raises `BenchError` for an unknown name, and where it cannot be built for such images.
    """
    expect(ref, ModelRef, "ref", 'api.ModelRef(name="own:vgg16")')
    for key, number in (("in_channels", in_channels), ("classes", classes), ("image_size", image_size)):
        expect(number, int, key, "a number from 1")
        if number < 1:
            raise BenchError(f"{key}: {number}; expected a number from 1; give that of your images")
    network = models.build(ref, in_channels, classes, image_size)
    _REFS[network] = ref
    return network


def problem(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    budgets: Sequence[float],
    granularity: str = "channel",
    cost: str = "params",
    seed: int = 0,
    recipe: Recipe = RECIPE,
    split: Split = Split(),  # noqa: B008 - frozen
    pretrained: bool = False,
    device: str = "cpu",
) -> Problem:
    """Return the problem of finding sub-architectures of `model` on labelled images; `problem.space` is the space.

    `images` are uint8 [N, C, H, W] with H = W, `labels` int64 [N] from 0; `split` cuts them by `seed`. `budgets` are
    shares of the model's `cost` ("params", "macs" or "memory"). The searches train by `recipe`. With `pretrained` the
    model's present weights are the pretrained ones; otherwise those are trained, once, when a pruner or `finetune` asks
    for them. `model` itself is left as it is, and of what PyTorch wraps around it (`DataParallel`, `torch.compile`)
    only the network within is used. Raises `BenchError`, before anything is trained, for images, labels and other
    arguments that are not as told here, for a model that is not float32 and finite, or gives no logits [N, classes] of
    such images, in training and afterwards, for one without prunable units, and for a class too small to be split.
    """
    shares = _shares(budgets)
    _check_settings(recipe, split, seed)
    _check_task(images, labels)
    _check_device(device)
    model = unwrapped(model)
    check_network(model)
    parts = split_source(labels, split, seeds.derive(seed, "split"))
    task = Task(images, labels, *channel_stats(images, parts.train))
    network = _classifier(model, task, device)
    given = _copied(network.state_dict(), device) if pretrained else None

    @cache
    def trained() -> tuple[dict[str, Tensor], int]:
        if given is not None:
            return given, 0
        large = on_device(copied(network), device)
        large.load_state_dict(made.initial())
        with Progress(quiet=QUIET) as bar:
            images_seen = trained_on(large, made.train, recipe, seed, on_step=bar.steps("pretraining", recipe.steps))
        return _copied(large.state_dict(), device), training_flops(made.dense_macs, images_seen)

    def load_pretrained() -> tuple[dict[str, Tensor], int]:
        state, flops = trained()
        return _copied(state, device), flops  # whoever asked may train them on

    made = Problem(
        space=build_space(network, torch.zeros(1, *images.shape[1:], device=device), granularity, cost),
        network=network,
        train=task.subset(parts.train).to(device),
        validation=task.subset(parts.validation).to(device),
        recipe=recipe,
        budgets=shares,
        seed=seed,
        device=device,
        load_pretrained=load_pretrained,
        elsewhere=pretrained,
    )
    return made


def _check_task(images: Tensor, labels: Tensor) -> None:
    check_images(images)
    check_labels(labels, len(images))
    if len(found := labels.unique().tolist()) < 2:
        raise BenchError(f"labels: all are {found[0]}; expected two classes or more; give images of others as well")


def _check_settings(recipe: object, split: object, seed: object) -> None:
    expect(recipe, Recipe, "recipe", "api.Recipe(steps=100, batch=128, lr=0.1)")
    expect(split, Split, "split", "api.Split(train=0.6, validation=0.2)")
    expect(seed, int, "seed", "a whole number")


def _classifier(model: nn.Module, task: Task, device: str) -> nn.Module:
    """A copy of the model on the device, in its layout; `BenchError` unless it can be trained on the task."""
    network: nn.Module = copied(model).to(device)
    check_weights_finite(network)
    example = task.normalise(task.images[:1]).to(device)
    classes = check_classifier(network, example)
    check_labels(task.labels, len(task), classes)
    settle_layout(network, torch.zeros_like(example))
    check_trainable(network, example, classes)
    if model in _REFS:
        _REFS[network] = _REFS[model]
    return network


def search(method: str, problem: Problem, **parameters: Any) -> list[SubNetwork]:
    """Run a registered pruner on `problem`; returns one sub-network per budget, largest first.

    `parameters` are the method's own; `dapbench methods NAME` lists them. Equal arguments give equal sub-networks;
    `problem` is left as it is. Raises `BenchError` for an unknown method or parameter and for too small a budget.
    """
    expect(method, str, "method", "the name of a method, as in `dapbench methods`")
    expect(problem, Problem, "problem", "what api.problem(...) returns")
    kind = pruner(method)
    given = parse(kind.Parameters, parameters, method)
    made = kind(given)
    ref = _REFS.get(problem.network)
    meta = {
        **({} if ref is None else {"model": options(ref)}),
        "method": method,
        "reference": kind.reference,
        "parameters": given.model_dump(mode="json", exclude_defaults=True),
        "seed": problem.seed,
        "input": list(problem.train.shape),
        "classes": check_classifier(problem.network, problem.train.normalise(problem.train.pixels(torch.arange(1)))),
    }
    with Progress(quiet=QUIET) as bar:
        own = replace(
            problem,
            budgets=made.budgets(problem.budgets),
            flops=0,
            pretrain_flops=0,
            trace=[],
            progress=lambda share: bar(method, share),
        )
        for budget in own.budgets:
            own.space.limit(budget)  # refuses one that cannot be met before anything is trained
        return [
            SubNetwork(
                architecture=own.space.architecture(found.mask, {**meta, "budget": found.budget}),
                state=None if found.state is None else _copied(found.state, "cpu"),
                space=own.space,
            )
            for found in made.search(own)
        ]


def _shares(budgets: object) -> tuple[float, ...]:
    """The budgets in descending order."""
    given = tuple(budgets) if isinstance(budgets, Iterable) and not isinstance(budgets, str) else ()
    if not given or not all(isinstance(one, Real) and 0 < float(one) <= 1 for one in given):
        raise BenchError(f"budgets: {budgets!r}; expected a list of shares in (0, 1], as in [0.5, 0.1]")
    if len(set(given)) < len(given):
        raise BenchError(f"budgets: {budgets!r}; expected each share once; leave out what is there twice")
    return tuple(sorted(given, reverse=True))


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except Exception as error:  # every kind of device has its own way to be missing
        raise BenchError(
            f"device: {device!r} cannot be used ({cause(error)}); expected cpu, or cuda with a GPU"
        ) from error


def _copied(state: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    """The same weights in tensors of their own: a network's are overwritten by its next draw or training."""
    return {name: tensor.detach().to(device, copy=True) for name, tensor in state.items()}
