"""Step three: retrain what was found on targets with few examples, and measure it on the targets' test parts."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmark import models, seeds
from benchmark.cells import Cell, CellOutput, Context
from benchmark.config import Recipe
from benchmark.data.splits import assert_disjoint, draw_shots, split_target
from benchmark.protocol.source import Source, open_source, opened
from benchmark.replicas import NotStackable, Replicas
from benchmark.space import Architecture, ChannelSpace, SearchSpace, build_space
from benchmark.space.state import unpack_state
from benchmark.training import Task, accuracy, fit, on_device, ready, stacked_batches, training_flops

State = dict[str, Tensor]


@dataclass(frozen=True)
class Draw:
    """One few-shot task: its name in the rows, its training images, and the seed of its head and batches."""

    target: str
    shots: int
    draw: int
    train: Task
    test: Task
    classes: int
    seed: int


def compute(cell: Cell, context: Context) -> CellOutput:
    """Retrain one architecture in one weights mode on every target, shots and draw; returns the test accuracies."""
    spec = cell.spec
    source = open_source(cell, context)
    network, masks, params, macs = _subnetwork(cell, context, source)
    flops, source_accuracy = 0, None
    if spec["weights"] == "fresh":
        flops = training_flops(macs, source.train_on_source(network, masks))
    if spec["weights"] != "scratch":
        source_accuracy = accuracy(network.eval(), source.test)
    recipe = Recipe(**spec["recipe"])
    results = []
    for number, target in enumerate(spec["targets"], start=1):
        draws = _draws(target, spec, source, context)
        for draw, correct in zip(draws, adapt(network, draws, recipe, masks), strict=True):
            results.append({"target": draw.target, "shots": draw.shots, "draw": draw.draw, "accuracy": correct})
        context.progress(cell.label, number / len(spec["targets"]))
    return CellOutput(
        values={
            "source_accuracy": source_accuracy,
            "train_flops": flops + training_flops(macs, recipe.steps * recipe.batch),
            "params": params,
            "macs": macs,
            "results": results,
        }
    )


def _subnetwork(cell: Cell, context: Context, source: Source) -> tuple[nn.Module, Mapping[str, Tensor], int, int]:
    """The network to retrain with the weights of its mode, the masks it is held to, its parameters and MACs."""
    spec, form = cell.spec, cell.spec["form"]
    network = source.large_model()
    space = build_space(network, source.example().to(source.device), spec["granularity"])
    mask = _mask(form, space, cell, context)
    if spec["weights"] == "inherit":
        content = _input(cell, context, "state").read_bytes()
        state = unpack_state(space, mask, content)
        network.load_state_dict({name: tensor.to(source.device) for name, tensor in state.items()})
    sub = space.extract(network, space.architecture(mask, {}))
    masks = space.weight_masks(mask)
    if spec["weights"] != "inherit":
        models.initialise(sub, seeds.derive(spec["seed"], "retrain"))
        for name, kept in masks.items():
            sub.get_parameter(name).data.mul_(kept.to(source.device))
    return on_device(sub, source.device), masks, space.params(mask), space.macs(mask)


def _mask(form: dict[str, Any], space: SearchSpace, cell: Cell, context: Context) -> Tensor:
    if "dense" in form:
        return torch.ones(space.n, dtype=torch.bool)
    if "kept" in form:
        assert isinstance(space, ChannelSpace)
        return space.mask_of_kept(form["kept"])
    return space.mask(Architecture.load(_input(cell, context, "architecture")))


def _input(cell: Cell, context: Context, name: str) -> Path:
    return context.store.get(cell.inputs["search"]).files[cell.inputs[name]]


def _draws(target: dict[str, Any], spec: dict[str, Any], source: Source, context: Context) -> list[Draw]:
    """Every few-shot task on one target, the same for all methods at equal seed."""
    ref = {key: value for key, value in target["ref"].items() if key != "label"}
    label = target["ref"]["label"]
    images = opened(ref, target["digest"], context)
    split = split_target(images.labels, spec["pool"], seeds.derive(spec["seed"], "target", label), images.groups)
    assert_disjoint(images.images, split.pool, split.test)
    every = Task(images.images, images.labels, source.train.mean.cpu(), source.train.std.cpu())
    test = every.at(split.test).to(source.device)
    draws = []
    for shots in spec["shots"]:
        for draw in range(spec["draws"]):
            seed = seeds.derive(spec["seed"], "draw", label, shots, draw)
            index = draw_shots(images.labels, split.pool, shots, seeds.derive(spec["seed"], "shots", label), draw)
            train = every.at(index).to(source.device)
            draws.append(Draw(label, shots, draw, train, test, len(images.classes), seed))
    return draws


def adapt(network: nn.Module, draws: list[Draw], recipe: Recipe, masks: Mapping[str, Tensor]) -> list[float]:
    """Replace the head and fine-tune all weights, once per draw; returns the accuracies on the draws' test parts.

    The draws (all on one target) are trained as stacked replicas where the network allows it, else one by one. The new
    head is dense and drawn from the draw's seed; `masks` hold the weights of the body.
    """
    head = models.head_name(network)
    kept = {name: mask for name, mask in masks.items() if not name.startswith(f"{head}.")}
    template = ready(copy.deepcopy(network), recipe)
    states: list[State] = []
    for draw in draws:
        models.replace_head(template, draw.classes, draw.seed)
        states.append({name: tensor.detach().clone() for name, tensor in template.state_dict().items()})
    try:
        replicas = Replicas(template, states, tuple(draws[0].train.images.shape[1:]))
    except NotStackable:
        trained = [_fine_tuned(template, state, draw, recipe, kept) for state, draw in zip(states, draws, strict=True)]
    else:
        generators = [seeds.generator(draw.seed, "order") for draw in draws]
        data = stacked_batches([draw.train for draw in draws], recipe, generators)
        fit(replicas, replicas.parameters, data, recipe, replicas.masks(kept))
        trained = [replicas.state(index) for index in range(len(draws))]
    template.eval()
    return [accuracy(partial(_run, template, state), draw.test) for state, draw in zip(trained, draws, strict=True)]


def _run(template: nn.Module, state: State, images: Tensor) -> Tensor:
    return functional_call(template, state, (images,))


def _fine_tuned(template: nn.Module, state: State, draw: Draw, recipe: Recipe, masks: Mapping[str, Tensor]) -> State:
    template.load_state_dict(state)
    template.train()
    # A replica's batches: a network that cannot be stacked is trained no other than one that can.
    together = stacked_batches([draw.train], recipe, [seeds.generator(draw.seed, "order")])
    data = ((images[0], labels[0]) for images, labels in together)
    fit(template, dict(template.named_parameters()), data, recipe, masks)
    return {name: tensor.detach().clone() for name, tensor in template.state_dict().items()}
