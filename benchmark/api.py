"""The suite from Python: a search space from a model, a search, an architecture, the extracted network.

    from pathlib import Path
    from benchmark import api

    data = api.load_data(api.DatasetRef(name="digits", classes=[0, 1, 2, 3, 4]))
    model = api.build_model(api.ModelRef(name="own:vgg16", width=0.125), in_channels=1, classes=5, image_size=8)
    problem = api.problem(model, data.images, data.labels, budgets=[0.05])
    architecture = api.search("dap", problem)[0]
    architecture.save(Path("dap.safetensors"))
    network = api.extract(model, architecture)

`model` may be any classifier whose layers the search space knows, `data` any images and labels, and `network` is a
plain, smaller `torch.nn.Module`. `run_search` and `transfer` do the same for a suite of params.yaml, as `dapbench
search` and `dapbench transfer` do.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.config.params import DatasetRef, ModelRef, Params, Recipe, Split, load_params, parse
from benchmark.data import load as load_data
from benchmark.data.splits import split_source
from benchmark.data.statistics import channel_stats
from benchmark.models import build as build_model
from benchmark.networks.extraction import extract, large_model, load_network, load_weights, save_network
from benchmark.pipeline.one_off import run_search, transfer
from benchmark.pipeline.validate import validate
from benchmark.pruning.problem import Problem
from benchmark.pruning.registry import pruner, pruners
from benchmark.space import Architecture, SearchSpace, build_space
from benchmark.training.loop import Task

__all__ = [
    "Architecture",
    "DatasetRef",
    "ModelRef",
    "Params",
    "Problem",
    "Recipe",
    "SearchSpace",
    "Split",
    "build_model",
    "build_space",
    "extract",
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
    shares of the model's `cost` ("params" or "macs"). The searches train by `recipe`. With `pretrained` the model's
    present weights are the pretrained ones; otherwise those are trained when a pruner asks for them. `model` itself is
    left as it is. Raises `BenchError` for a model without prunable units or a class too small to be split.
    """
    network = copy.deepcopy(model).to(device)
    given = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()} if pretrained else None
    parts = split_source(labels, split, seeds.derive(seed, "split"))
    task = Task(images, labels, *channel_stats(images, parts.train))

    def load_pretrained() -> tuple[dict[str, Tensor], int]:
        if given is not None:
            return given, 0
        # On a copy, whose account holds this training and nothing else.
        training = replace(made, flops=0, trace=[])
        state = training.retrain(torch.ones(made.space.n, dtype=torch.bool), training.initial())
        return state, training.flops

    made = Problem(
        space=build_space(network, torch.zeros(1, *images.shape[1:], device=device), granularity, cost),
        network=network,
        train=task.subset(parts.train).to(device),
        validation=task.subset(parts.validation).to(device),
        recipe=recipe,
        budgets=tuple(sorted(budgets, reverse=True)),
        seed=seed,
        device=device,
        load_pretrained=load_pretrained,
        elsewhere=pretrained,
    )
    return made


def search(method: str, problem: Problem, **parameters: Any) -> list[Architecture]:
    """Run a registered pruner on `problem`; returns one architecture per budget, largest first.

    `parameters` are the method's own; `dapbench methods NAME` lists them. Equal arguments give equal architectures;
    `problem` is left as it is. Raises `BenchError` for an unknown method or parameter and for too small a budget.
    """
    kind = pruner(method)
    given = parse(kind.Parameters, parameters, method)
    made = kind(given)
    own = replace(problem, budgets=made.budgets(problem.budgets), flops=0, pretrain_flops=0, trace=[])
    meta = {
        "method": method,
        "reference": kind.reference,
        "parameters": given.model_dump(mode="json", exclude_defaults=True),
        "seed": problem.seed,
        "input": list(problem.train.shape),
        "classes": int(problem.train.labels.max()) + 1,
    }
    return [own.space.architecture(found.mask, {**meta, "budget": found.budget}) for found in made.search(own)]
