"""Step three: retrain what was found on targets with few examples, and measure it on the targets' test parts."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.jobs.job import Job, JobOutput
from benchmark.jobs.results import Measured, Transferred
from benchmark.jobs.specs import Form, TargetSpec, TransferSpec
from benchmark.jobs.store import Context
from benchmark.protocol.fewshot import adapted, target_draws
from benchmark.protocol.frozen import frozen_measures, summarised
from benchmark.protocol.measures import TOP
from benchmark.protocol.permutations import shuffled
from benchmark.protocol.retrain import Masks, reinitialised
from benchmark.protocol.source import Source, open_source
from benchmark.protocol.target import open_target
from benchmark.space import Architecture, ChannelSpace, SearchSpace, build_space
from benchmark.space.graph.macs import count
from benchmark.space.surgery.mask_and_cut import run
from benchmark.space.weights_file import unpack_state
from benchmark.training.distillation import Teaching
from benchmark.training.loop import FLOPS_PER_MAC, TRAINING_FORWARDS, accuracy, on_device, training_flops


def compute(job: Job[TransferSpec], context: Context) -> JobOutput:
    """Retrain one architecture in one weights mode on every target, shots and draw; returns the test accuracies."""
    spec = job.spec
    source = open_source(spec, context)
    network, masks, params, macs = _subnetwork(job, context, source)
    flops, source_accuracy = 0, None
    if spec.flops_cap is not None:
        _, large = count(source.large_model(), source.example().to(source.device))
        steps = equal_flops_steps(source.recipe.steps, large, macs, spec.flops_cap, taught=spec.teacher is not None)
        source = replace(source, recipe=source.recipe.model_copy(update={"steps": steps}))
    if spec.weights == "fresh":
        flops = _trained_on_source(network, masks, macs, source, spec, context)
    if spec.weights != "scratch":
        source_accuracy = accuracy(network.eval(), source.test)
    results = []
    for number, target in enumerate(spec.targets, start=1):
        results += _measures(network, masks, macs, source, target, job, context, flops)
        context.progress(job.label, number / len(spec.targets))
    return JobOutput(Transferred(source_accuracy=source_accuracy, params=params, macs=macs, results=results))


def _measures(
    network: nn.Module,
    masks: Masks,
    macs: int,
    source: Source,
    spec: TargetSpec,
    job: Job[TransferSpec],
    context: Context,
    flops: int,
) -> list[Measured]:
    """Every measure of a network on one target; `flops` are those of its training so far."""
    target = open_target(spec, job.spec.seed, source, context.data_root)
    found = []
    for measure, shots, known in frozen_measures(network, source, target, spec):
        place: dict[str, Any] = {"target": spec.label, "shots": shots, "draw": 0, "measure": measure}
        found.append(Measured(**place, train_flops=flops, **summarised(known)))
    if spec.recipe is not None:
        draws = target_draws(target, spec, source)
        spent = flops + training_flops(macs, spec.recipe.steps * spec.recipe.batch)
        template, states = adapted(network, draws, spec.recipe, masks)
        for draw, state in zip(draws, states, strict=True):
            tuned = partial(run, template, state)
            found.append(
                Measured(
                    target=spec.label,
                    shots=draw.shots,
                    draw=draw.draw,
                    accuracy=accuracy(tuned, draw.test),
                    train_flops=spent,
                    top5=accuracy(tuned, draw.test, top=TOP) if spec.top5 else None,
                )
            )
    return found


def _trained_on_source(
    network: nn.Module, masks: Masks, macs: int, source: Source, spec: TransferSpec, context: Context
) -> int:
    """Train the network in place on the source, under its teacher where it has one; returns the operations of both."""
    if spec.teacher is None:
        return training_flops(macs, source.train_on_source(network, masks))
    assert spec.distillation is not None
    teacher = source.large_model()
    teacher.load_state_dict(load_file(context.store.get(spec.teacher).files["final.safetensors"], source.device))
    _, large = count(teacher, source.example().to(source.device))
    with Teaching(network, teacher, spec.distillation, source.recipe) as taught:
        images = source.train_on_source(network, masks, taught)
    return training_flops(macs, images) + FLOPS_PER_MAC * large * images


def equal_flops_steps(steps: int, large: int, macs: int, cap: float, taught: bool = False) -> int:
    """Return how many steps cost a network of `macs` what `steps` cost one of `large`, at most `cap` times as many.

    `taught`: both have the network of `large` as a teacher, whose forward pass is a part of a step. Scratch-B of Liu et
    al. 2019, Rethinking the Value of Network Pruning, arXiv 1810.05270.
    """
    teacher = large if taught else 0
    equal = steps * (TRAINING_FORWARDS * large + teacher) // (TRAINING_FORWARDS * macs + teacher)
    return max(steps, min(equal, int(steps * cap)))


def _subnetwork(job: Job[TransferSpec], context: Context, source: Source) -> tuple[nn.Module, Masks, int, int]:
    """The network to retrain with the weights of its mode, the masks it is held to, its parameters and MACs."""
    spec = job.spec
    network = source.large_model()
    space = build_space(network, source.example().to(source.device), spec.granularity)
    mask = _mask(spec.form, space, job, context)
    if spec.weights == "inherit":
        state = unpack_state(space, mask, _input(job, context, "state").read_bytes())
        network.load_state_dict({name: tensor.to(source.device) for name, tensor in state.items()})
        sub, masks = space.extract(network, space.architecture(mask, {})), space.weight_masks(mask)
        sub = on_device(sub, source.device)
    else:
        sub, masks = reinitialised(space, network, mask, source.seed, source.device, spec.retraining)
    return sub, masks, space.params(mask), space.macs(mask)


def _mask(form: Form, space: SearchSpace, job: Job[TransferSpec], context: Context) -> Tensor:
    if form.dense:
        return torch.ones(space.n, dtype=torch.bool)
    if form.shuffled is not None:
        return shuffled(space, form.shuffled, job.spec.seed)
    if form.kept is not None:
        assert isinstance(space, ChannelSpace)
        return space.mask_of_kept(form.kept)
    return space.mask(Architecture.load(_input(job, context, "architecture")))


def _input(job: Job[TransferSpec], context: Context, name: str) -> Path:
    """A file that is handed over: of a finished search, or of its own."""
    if "search" not in job.inputs:
        return Path(job.inputs[name])
    return context.store.get(job.inputs["search"]).files[job.inputs[name]]
