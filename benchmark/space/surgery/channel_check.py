"""The check that a group of units must pass: cutting some of its units computes what masking them computes."""

import re
import traceback
from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from benchmark import seeds
from benchmark.space.graph.dependencies import DependencyGraph, only
from benchmark.space.surgery.mask_and_cut import Gates, extracted, run

TOLERANCE = 1e-9  # relative, in double precision
SMALL = 8  # units, below which a group always loses half of them
NO_OTHERS: Mapping[str, Tensor] = MappingProxyType({})


def admitted(model: nn.Module, example_input: Tensor, graph: DependencyGraph) -> DependencyGraph:
    """Return the dependency graph with the groups that can be cut together; the others' reasons are in its `whole`.

    A copy of `model` in double precision, with weights drawn so that no branch is silent, runs on a random image: once
    with units of the groups in question masked, once without them, for two choices of units; and on two images in
    training mode, if it draws no random numbers there. Groups are tried together, and where the two differ or the
    smaller network does not run, kind by kind and in halves, on top of those admitted before.
    """
    if not graph.groups:
        return graph
    trial = _Trial(model, example_input, graph)
    names = list(graph.groups)
    if not trial.problem(names):
        return graph
    found: list[str] = []
    whole: dict[str, str] = {}
    for kind in _kinds(graph):
        _admit(trial, kind, found, whole)
    return only(graph, [name for name in names if name in found], whole)


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
        self._graph = graph
        self._model = deepcopy(model).cpu().double().eval().requires_grad_(False)
        shake(self._model)
        shape = (2, *example_input.shape[1:])
        self._images = torch.randn(shape, generator=seeds.generator(0, "admission"), dtype=torch.float64)
        self._gates = Gates(graph)
        drawn = {name: _kept(size, seeds.generator(0, "admission", name)) for name, size in graph.groups.items()}
        draws = [{name: kept[turn] for name, kept in drawn.items()} for turn in (0, 1)]
        self._turns = [(draw, False) for draw in draws]
        if self._trains():
            self._turns.append((draws[0], True))

    def problem(self, names: list[str]) -> str:
        """Return why the groups of these names cannot be cut together, or nothing."""
        return next(filter(None, (self._problem(names, *turn) for turn in self._turns)), "")

    def _problem(self, names: list[str], draw: dict[str, Tensor], training: bool) -> str:
        chosen = set(names)
        mask = torch.cat([kept if name in chosen else torch.ones_like(kept) for name, kept in draw.items()])
        images = self._images if training else self._images[:1]
        self._model.train(training)
        with torch.no_grad():
            # The smaller one first: where it does not run, it mostly fails early.
            try:
                cut = _flat(_keeping_buffers(extracted(self._model, self._graph, mask, own=False), images))
            except Exception as error:
                return f"cannot be cut: {operation(error)}"
            gated = self._gates.apply(dict(self._model.named_parameters()), mask.double())
            masked = _flat(_keeping_buffers(self._model, images, gated))
        difference = (
            float((masked - cut).abs().max() / masked.abs().max()) if masked.shape == cut.shape else float("nan")
        )
        if difference <= TOLERANCE:
            return ""
        via = next((f", by {self._graph.cuts[name]}" for name in reversed(names) if name in self._graph.cuts), "")
        when = " in training mode" if training else ""
        return f"cutting its channels is not masking them{when} (outputs differ by {difference:.0e}{via})"

    def _trains(self) -> bool:
        """Tell whether the model runs in training mode and gives the same there whenever it runs."""
        before = torch.random.get_rng_state()
        try:
            with torch.no_grad():
                output = _flat(_keeping_buffers(self._model.train(), self._images))
        except Exception:  # whatever a network says that does not take two images, or does not train
            return False
        finally:
            self._model.eval()
            drawn = not torch.equal(before, torch.random.get_rng_state())
            torch.random.set_rng_state(before)
        return not drawn and bool(output.isfinite().all())


def _kept(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return which units stay, twice: a random part, of every group another share of it, and only the last few.

    What divides channels at fixed places, or counts them, may by chance not notice the first, but does the second.
    """
    few = torch.randint(1, max(size // 2, 1) + 1, (), generator=generator)
    # Between a quarter and three quarters; of a small group its half, for fewer would show nothing of an order.
    some = (
        size // 4 + int(torch.randint(size // 2 + 1, (), generator=generator)) if size >= SMALL else max(size // 2, 1)
    )
    return torch.randperm(size, generator=generator) < some, torch.arange(size) >= size - few


def _keeping_buffers(model: nn.Module, images: Tensor, parameters: Mapping[str, Tensor] = NO_OTHERS) -> Any:
    """Return what `model` computes, with these parameters where given; its running statistics stay as they were."""
    return run(model, {**{name: buffer.clone() for name, buffer in model.named_buffers()}, **parameters}, images)


def _flat(output: Any) -> Tensor:
    """Return all numbers that a network returns."""
    return torch.cat([tensor.flatten() for tensor in tree_leaves(output) if isinstance(tensor, Tensor)])


@torch.no_grad()
def shake(model: nn.Module) -> None:
    """Draw weights and statistics so that every branch counts: no scale at its initial zero or one."""
    parameters = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        # In single precision, which is drawn faster.
        draw = torch.randn(tensor.shape, generator=seeds.generator(0, "admission", name))
        if name.endswith("running_var"):
            tensor.copy_(0.5 + draw.abs())
        elif name not in parameters:
            if name.endswith("running_mean"):
                tensor.copy_(0.1 * draw)
        elif tensor.dim() > 1:
            tensor.copy_(draw).div_(max(tensor[0].numel(), 1) ** 0.5)
        else:
            tensor.copy_((1 if name.endswith("weight") else 0) + 0.2 * draw)


def operation(error: Exception) -> str:
    """Return the line of the model's own code that could not run, and what PyTorch says of it."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename and frame.line
    ]
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if not frames:
        return said
    return f"`{frames[-1].line}` in {Path(frames[-1].filename).name} ({said})"
