"""The check that a group of units must pass: cutting some of its units computes what masking them computes."""

import re
import traceback
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.models.copying import copied
from benchmark.space.graph.dependencies import DependencyGraph, about, literals, only
from benchmark.space.surgery.branches import endangered, other_images, walked
from benchmark.space.surgery.mask_and_cut import Gates, extracted
from benchmark.space.surgery.trial_run import Setting, flat, images_like, keeping_buffers, training_settings

TOLERANCE = 1e-9  # relative, in double precision
HERE = Path(__file__).parent
NOT_TRACED = "did not run on the traced image, so its channels are not known"


def admitted(model: nn.Module, example_input: Tensor, graph: DependencyGraph) -> DependencyGraph:
    """Return the dependency graph with the groups that can be cut together; the others' reasons are in its `whole`.

    A copy of `model` in double precision, with weights drawn so that no branch is silent, runs on a random image: once
    with units of the groups in question masked, once without them, for three choices of units; on other images, where
    it goes another way on them; and on several images in training mode, where both draw equal random numbers, of every
    size in turn. Groups are tried together, and where the two differ or the smaller network does not run, kind by kind
    and in halves, on top of those admitted before. What fails is tried once more with the sizes restated that the
    network's code states in its calls.

    A group that goes by its widths with a layer that none of the images reaches stays whole.
    """
    idle = {_named(model, layer): NOT_TRACED for layer in graph.idle}
    if not graph.groups:
        return only(graph, [], idle)
    trial = _Trial(model, example_input, graph)
    whole = idle | endangered(model, graph, trial.unreached)
    names = [name for name in graph.groups if name not in whole]
    if names and not trial.problem(names):
        return only(graph, names, whole) if whole else graph
    found: list[str] = []
    _admit_kinds(trial, names, found, whole)
    failed = [name for name in names if name not in found]
    stated = literals(model, example_input, failed) if failed else ()
    if stated:
        graph = _with_stated(trial, failed, found, whole, replace(graph, literals=stated))
    return only(graph, [name for name in names if name in found], whole)


def _with_stated(
    trial: "_Trial", failed: list[str], found: list[str], whole: dict[str, str], graph: DependencyGraph
) -> DependencyGraph:
    """Admit what can be cut where the numbers of the network's calls are restated; returns the graph with these."""
    trial.graph = graph
    more = list(found)
    _admit_kinds(trial, failed, more, {})
    if len(more) == len(found):
        return replace(graph, literals=())
    trial.graph = replace(graph, literals=about(graph.literals, graph.groups, more[len(found) :]))
    if trial.problem(more):
        return replace(graph, literals=())
    for name in more[len(found) :]:
        del whole[name]
    found[:] = more
    return trial.graph


def _admit_kinds(trial: "_Trial", names: list[str], found: list[str], whole: dict[str, str]) -> None:
    for kind in _kinds(trial.graph):
        candidates = [name for name in kind if name in names]
        if candidates:
            _admit(trial, candidates, found, whole)


def _kinds(graph: DependencyGraph) -> list[list[str]]:
    """Return the groups' names by what they are cut from, whatever the number of the block."""
    starts = np.cumsum([0, *graph.groups.values()])
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, start in zip(graph.groups, starts, strict=False):
        cut_from = {
            re.sub(r"\d+", "", tensor)
            for tensor, dims in graph.dims.items()
            if any((units == start).any() for units in dims.values())
        }
        kinds[tuple(sorted(cut_from))].append(name)
    return list(kinds.values())


def _admit(trial: "_Trial", candidates: list[str], found: list[str], whole: dict[str, str]) -> None:
    problem = trial.problem([*found, *candidates])
    if not problem:
        found.extend(candidates)
        return
    if len(candidates) == 1:
        whole[candidates[0]] = problem
        return
    # Mostly all groups of one kind fail alike, and then the first and the last show it.
    ends = [trial.problem([*found, candidates[end]]) for end in (0, -1)] if len(candidates) > 2 else [""]
    if all(ends):
        whole.update(dict.fromkeys(candidates, ends[0]))
        return
    middle = len(candidates) // 2
    _admit(trial, candidates[:middle], found, whole)
    _admit(trial, candidates[middle:], found, whole)


class _Trial:
    """A model with loud weights, to be run with groups cut and masked."""

    def __init__(self, model: nn.Module, example_input: Tensor, graph: DependencyGraph) -> None:
        self.graph = graph
        self._model = copied(model).cpu().double().eval().requires_grad_(False)
        images = images_like(example_input)
        shake(self._model, images[:1])
        self._gates = Gates(graph)
        drawn = {
            name: _kept(size, place, seeds.generator(0, "admission", name))
            for place, (name, size) in enumerate(graph.groups.items())
        }
        draws = [{name: kept[turn] for name, kept in drawn.items()} for turn in range(3)]
        usual, training = Setting(images[:1]), training_settings(self._model, images)
        self._turns = [*((draw, usual) for draw in draws), *((draws[0], setting) for setting in training)]
        self.unreached = set(graph.idle)
        ways: set[tuple[str, ...]] = set()
        for setting in (usual, *training, *map(Setting, other_images(images[:1]))):
            way, found = walked(self._model, self.unreached, setting)
            self.unreached -= found
            if not setting.training and way and (found or way not in ways):
                if ways:  # the first is the usual one, which is among the turns
                    self._turns.append((draws[0], setting))
                ways.add(way)

    def problem(self, names: list[str]) -> str:
        """Return why the groups of these names cannot be cut together, or nothing."""
        return next(filter(None, (self._problem(names, *turn) for turn in self._turns)), "")

    def _problem(self, names: list[str], draw: dict[str, Tensor], setting: Setting) -> str:
        chosen = set(names)
        mask = torch.cat([kept if name in chosen else torch.ones_like(kept) for name, kept in draw.items()])
        # The smaller one first: where it does not run, it mostly fails early.
        try:
            cut = setting.output(extracted(self._model, self.graph, mask, own=False))
        except Exception as error:
            return f"cannot be cut{setting}: {operation(error)}"
        masked = setting.output(self._model, self._gates.apply(dict(self._model.named_parameters()), mask.double()))
        difference = setting.difference(masked, cut)
        if difference <= TOLERANCE:
            return ""
        via = next((f", by {self.graph.cuts[name]}" for name in reversed(names) if name in self.graph.cuts), "")
        return f"cutting its channels is not masking them{setting} (outputs differ by {difference:.0e}{via})"


def _kept(size: int, place: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return which units of the group at a place among all stay: a random part of them, only the last few, the first.

    What divides channels at fixed places, or does something else to the first or the last of them, must notice one of
    the three whatever is drawn. So the part is without the last unit, the last few are without the first; the part is
    an odd number, which no halves share equally; and the few are two at least, which have an order, and where it can be
    no divisor of the size, for a rotation by a share of that would leave as many as they are. A single one would go
    with any width, so it is left of the smallest groups only. Neighbours of one size keep other numbers, for they may
    be two halves that must not go apart. The first few end in another unit than the
    part, should that be one that never fires.
    """
    parts = [number for number in range(size // 4 | 1, max(3 * size // 4, 1) + 1, 2) if number > 2 or size < 4]
    if len(parts) == 1 and size >= 4:
        parts.append(2)
    numbers = range(min(2, size), size // 2 + 1)
    few = [number for number in numbers if size % number] or [*numbers][:1] or [1]
    some, last = parts[place % len(parts)], few[place % len(few)]
    order = torch.cat([torch.randperm(size - 1, generator=generator), torch.tensor([size])])
    return order < some, torch.arange(size) >= size - last, torch.arange(size) < last


def _named(model: nn.Module, layer: str) -> str:
    """The name of a module, or of the network itself those of its own parameters."""
    return layer or ", ".join(name for name, _ in model.named_parameters(recurse=False))


@torch.no_grad()
def shake(model: nn.Module, image: Tensor) -> None:
    """Draw weights and statistics so that every branch counts: no scale at its initial zero or one.

    A parameter that is positive throughout stays so. Where `image` then gives no finite output, those of modules that
    are no layers of PyTorch's have a range of their own: they keep their values.
    """
    others = {
        f"{place}.{leaf}" if place else leaf: value.clone()
        for place, module in model.named_modules()
        if not type(module).__module__.startswith("torch.nn.")
        for leaf, value in module.named_parameters(recurse=False)
    }
    _draw(model)
    if others and not bool(flat(keeping_buffers(model, image)).isfinite().all()):
        for name, value in others.items():
            model.get_parameter(name).copy_(value)


def _draw(model: nn.Module) -> None:
    parameters = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        # A module may keep anything as its extra state.
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            continue
        # In single precision, which is drawn faster.
        draw = torch.randn(tensor.shape, generator=seeds.generator(0, "admission", name))
        if name.endswith("running_var"):
            tensor.copy_(0.5 + draw.abs())
        elif name not in parameters:
            if name.endswith("running_mean"):
                tensor.copy_(0.1 * draw)
        elif bool((tensor > 0).all()):
            tensor.copy_(tensor.clamp(min=0.1) * (0.2 * draw).exp())
        elif tensor.dim() > 1:
            tensor.copy_(draw).div_(max(tensor[0].numel(), 1) ** 0.5)
        else:
            tensor.copy_((1 if name.endswith("weight") else 0) + 0.2 * draw)


def operation(error: Exception) -> str:
    """Return the line of the model's own code that could not run, and what PyTorch says of it."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/torch/" not in frame.filename and not Path(frame.filename).is_relative_to(HERE) and frame.line
    ]
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if not frames:
        return said
    return f"`{frames[-1].line}` in {Path(frames[-1].filename).name} ({said})"
