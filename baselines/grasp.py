"""Pruning at initialisation by the preservation of gradient flow."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.config.params import Positive, Section
from benchmark.pruning.problem import Problem, SubNetwork
from benchmark.pruning.pruner import Pruner
from benchmark.pruning.synaptic import double
from benchmark.space import WeightSpace
from benchmark.training.loop import loss_of

Batch = tuple[Tensor, Tensor]
STEP = 1e-6  # length of the finite difference in double precision, short of the next kink of a ReLU


class GraSP(Pruner):
    """Keep the units whose removal would lower the norm of the loss gradient most at initialisation.

    The score of a weight is w (H g), of a channel or block the same of its gate a at 1; the highest are kept, signs
    included. H g is the finite difference of gradients in double precision along g, two trainings' passes on every
    image beside the one for g. Two halves of a sample balanced over classes, batch norm by their own statistics,
    logits divided by a temperature, linear layers drawn anew for the scoring (Xavier), all as in the authors' code.
    Wang et al. 2020, Picking Winning Tickets Before Training by Preserving Gradient Flow, arXiv 2002.07376.
    """

    name = "grasp"
    reference = "Wang et al. 2020, arXiv 2002.07376"
    label = "GraSP"
    color = "#999933"
    marker = "d"
    nested = True

    class Parameters(Section):
        """`samples` per class, halved; `temperature` of the logits."""

        samples: Annotated[int, Field(ge=2)] = 10
        temperature: Positive = 200.0

    def search(self, problem: Problem) -> list[SubNetwork]:
        """Return architectures without weights of their own."""
        flow = _Flow(problem, list(_halves(problem, self.parameters.samples)), self.parameters.temperature)
        at = flow.point
        gradient = flow.gradient(at)
        step = STEP / gradient.norm().clamp(min=torch.finfo(gradient.dtype).tiny)
        product = (flow.gradient(at + step * gradient) - flow.gradient(at - step * gradient)) / (2 * step)
        return problem.project((at * product).cpu())


class _Flow:
    """The loss as a function of what is scored: the weights themselves, or the gates of larger units."""

    def __init__(self, problem: Problem, batches: list[Batch], temperature: float) -> None:
        self.problem, self.batches, self.temperature = problem, batches, temperature
        self.state = double(problem.initial())
        if not problem.elsewhere:
            draw = problem.generator("linear")
            for name, module in problem.network.named_modules():
                if isinstance(module, nn.Linear):
                    fresh = torch.empty(module.weight.shape, dtype=torch.float64)
                    nn.init.xavier_normal_(fresh, generator=draw)
                    self.state[f"{name}.weight"] = fresh.to(problem.device)
        self.weights = isinstance(problem.space, WeightSpace)
        self.gates = torch.ones(problem.space.n, dtype=torch.float64, device=problem.device)
        self.point = self.gates
        if self.weights:
            self.point = problem.space.flatten({group.name: self.state[group.name] for group in problem.space.groups})

    def gradient(self, at: Tensor) -> Tensor:
        """Return the gradient [n] of the halves' summed losses at weights or gates [n]."""
        total = torch.zeros_like(at)
        for images, labels in self.batches:
            moved = at.clone().requires_grad_()
            # Batch norm writes its statistics into the state.
            state, gates = {name: tensor.clone() for name, tensor in self.state.items()}, moved
            if self.weights:
                parts = self.problem.space.unflatten(moved)
                state |= {name: part.view(state[name].shape) for name, part in parts.items()}
                gates = self.gates
            logits = self.problem.gated_logits(state, gates, images) / self.temperature
            total += torch.autograd.grad(loss_of(logits, labels), moved)[0]
            self.problem.charge(self.problem.dense_macs, len(labels))
        return total


def _halves(problem: Problem, samples: int) -> Iterator[Batch]:
    """Yield two batches in double precision that share the same number of images of every class between them."""
    task, draw = problem.train, problem.generator("samples")
    labels = task.labels.cpu()
    halves: list[list[Tensor]] = [[], []]
    for label in labels.unique():
        members = torch.nonzero(labels == label).flatten()
        drawn = members[torch.randperm(len(members), generator=draw)[:samples]]
        for half, part in zip(halves, drawn.split(-(-len(drawn) // 2)), strict=False):
            half.append(part)
    for half in halves:
        if half:
            index = torch.cat(half).to(task.labels.device)
            yield task.normalise(task.pixels(index)).double(), task.labels[index]
